"""What an experiment's arm is reduced to: sums over users, from which every interval follows.

A difference of means, its variance by the delta method over users, and CUPED's correction are all
functions of a dozen sums. So a look at a million searches is a dozen numbers an arm, and many
simulated experiments can be looked at at once: each sum may be a number or an array of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predator.statistics.samples import finite_sample

_NO_SPREAD = 1e-12
_SPREAD_OF_SPREAD = 2.0
"""How far, in units of 1/√users, an estimated variance may lie above the pooled one by chance."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Sums over the users of an arm; ``y`` is a user's sum of the metric, ``n`` its searches.

    ``x`` is n times (what the user had on average before the start, less the centre that both arms
    share); 0 where nothing is known of the user. Each field is a float, or an array over
    experiments.
    """

    users: Any
    n: Any
    y: Any
    x: Any
    nn: Any
    yy: Any
    xx: Any
    ny: Any
    nx: Any
    xy: Any

    def __add__(self, other: Moments) -> Moments:
        """Both groups of users together; they must not share one."""
        return Moments(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Moments)))

    @property
    def mean(self) -> Any:
        """The metric of a search, on average."""
        return self.y / self.n


def moments(
    codes: NDArray[np.integer[Any]],
    values: ArrayLike,
    before: ArrayLike | None = None,
    centre: float = 0.0,
) -> Moments:
    """Sums of one arm: ``values`` (n,), and ``codes`` (n,) whose search each was, from 0.

    ``before``: a user's mean before the start, by code, NaN where there is none. An arm without
    searches has sums of 0. Raises ``ValueError`` for values that are not finite or unequal lengths.
    """
    sample = finite_sample("the metric", values, at_least=0)
    who = np.asarray(codes)
    if who.shape != sample.shape:
        raise ValueError(f"{who.size} users for {sample.size} values")
    if not sample.size:
        return Moments(*(0.0 for _ in fields(Moments)))
    counts = np.bincount(who).astype(np.float64)
    y = np.bincount(who, weights=sample)
    known = np.zeros(counts.size)
    if before is not None:
        past = np.asarray(before, dtype=np.float64)[: counts.size] - centre
        known[: past.size] = np.where(np.isfinite(past), past, 0.0)
    x = counts * known
    sums = (
        (counts > 0).sum(), counts.sum(), y.sum(), x.sum(), counts @ counts, y @ y, x @ x,
        counts @ y, counts @ x, x @ y,
    )  # fmt: skip
    return Moments(*(float(one) for one in sums))


@dataclass(frozen=True, slots=True)
class Difference:
    """Arm b (candidate) less arm a (baseline). ``variance`` is that of ``delta``; ``delta_rel`` and
    ``variance_rel`` are the same in shares of arm a's mean. ``slope`` is CUPED's.
    """

    mean_a: Any
    mean_b: Any
    delta: Any
    variance: Any
    delta_rel: Any
    variance_rel: Any
    slope: Any


def difference(a: Moments, b: Moments, *, cuped: bool = False) -> Difference:
    """Compare two arms whose units are users.

    Means are ratios of sums over users, their variances those of the linearised ratios (Deng et al.
    2018, KDD, section 3). Variances are as if the arms had one spread, which keeps the level where
    they are equal, whatever the skew: with a small arm's own spread, a lucky mean of skewed values
    comes with a small variance. Where the arms' own spreads make it larger by more than chance
    does, that counts, less that allowance. ``cuped`` takes off what users differed by before the
    start (Deng et al. 2013, WSDM), with one slope for both arms. Where an arm has fewer than two
    users, or its searches no spread, the variance is infinite: no evidence.
    """
    a, b = _as_arrays(a), _as_arrays(b)
    with np.errstate(divide="ignore", invalid="ignore"):
        both = a + b
        mean, past = both.y / both.n, both.x / both.n
        slope = np.asarray(0.0)
        if cuped:
            joint = _product(both, mean, past)
            spread = both.xx - 2 * past * both.nx + past**2 * both.nn
            slope = np.where(spread > _NO_SPREAD, joint / spread, 0.0)
        a, b = _adjusted(a, slope, past), _adjusted(b, slope, past)
        mean_a, mean_b = a.y / a.n, b.y / b.n
        own_a, own_b = _variance(a, mean_a), _variance(b, mean_b)
        pooled = _residual(a + b, mean) / (both.users - 1) * (a.users / a.n**2 + b.users / b.n**2)
        ratio = mean_b / mean_a
        chance = 1.0 + _SPREAD_OF_SPREAD / np.sqrt(np.minimum(a.users, b.users))
        variance = np.maximum(pooled, (own_a + own_b) / chance)
        relative = np.maximum(pooled, (ratio**2 * own_a + own_b) / chance) / mean_a**2
        variance, relative = _or_infinite(variance, a, b), _or_infinite(relative, a, b)
        return Difference(mean_a, mean_b, mean_b - mean_a, variance, ratio - 1.0, relative, slope)


def _as_arrays(one: Moments) -> Moments:
    """So that a division by 0 gives no number and no error."""
    return Moments(*(np.asarray(getattr(one, field.name), np.float64) for field in fields(Moments)))


def _product(one: Moments, mean: Any, past: Any) -> Any:
    """The sum over users of (y - mean n)(x - past n)."""
    return one.xy - mean * one.nx - past * one.ny + mean * past * one.nn


def _adjusted(one: Moments, slope: Any, past: Any) -> Moments:
    """The sums of y - slope (x - past n) in the place of those of y."""
    y = one.y - slope * (one.x - past * one.n)
    ny = one.ny - slope * (one.nx - past * one.nn)
    xx = one.xx - 2 * past * one.nx + past**2 * one.nn
    yy = one.yy - 2 * slope * (one.xy - past * one.ny) + slope**2 * xx
    return Moments(one.users, one.n, y, one.x, one.nn, yy, one.xx, ny, one.nx, one.xy)


def _residual(one: Moments, mean: Any) -> Any:
    return np.maximum(one.yy - 2 * mean * one.ny + mean**2 * one.nn, 0.0)


def _variance(one: Moments, mean: Any) -> Any:
    return one.users / (one.users - 1) * _residual(one, mean) / one.n**2


def _or_infinite(variance: Any, a: Moments, b: Moments) -> Any:
    enough = (a.users >= 2) & (b.users >= 2) & (variance > _NO_SPREAD**2)
    return np.where(enough, variance, np.inf)

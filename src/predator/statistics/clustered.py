"""Two arms of an experiment whose searches come in clusters: many searches, fewer users."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predator.statistics.gain import student_test
from predator.statistics.samples import finite_sample, open_unit, positive

Users = Sequence[Hashable] | NDArray[np.integer[Any]]
"""Whose search it was, one entry a search."""

_NO_SPREAD = 1e-12


@dataclass(frozen=True, slots=True)
class ArmDifference:
    """Arm b (candidate) against arm a (baseline); ``delta_rel`` 0.03 = b is 3% above a.

    ``ci_low`` to ``ci_high``: two-sided 95% interval of ``delta_rel``; ``lower_bound``: one-sided
    at the caller's level; ``p_value``: one-sided against "b is not better". ``n_*`` count searches,
    ``users_*`` users. ``design_effect``: how many times more searches this takes than if each came
    from its own user. ``z_score``: the absolute difference over its standard error *if the arms
    were equal* (pooled variance), negative where b is worse. Compare this one with boundaries for
    repeated looks: with a small arm a, the relative difference raises false alarms from 5% to 8%.
    """

    mean_a: float
    mean_b: float
    delta_abs: float
    delta_rel: float
    ci_low: float
    ci_high: float
    lower_bound: float
    p_value: float
    n_a: int
    n_b: int
    users_a: int
    users_b: int
    design_effect: float
    z_score: float


@dataclass(frozen=True, slots=True)
class _Arm:
    mean: float
    variance: float
    variance_if_independent: float
    n: int
    users: int
    sums: NDArray[np.float64]
    counts: NDArray[np.float64]


def clustered_difference(
    users_a: Users,
    values_a: ArrayLike,
    users_b: Users,
    values_b: ArrayLike,
    alpha: float = 0.05,
) -> ArmDifference:
    """Compare the means of two arms, one value a search, searches clustered by user.

    An arm's mean is a ratio of sums over users (of values, of searches); its variance comes from
    the delta method over users, and so does that of the relative difference (Deng et al. 2018,
    "Applying the Delta Method in Metric Analytics", KDD, section 3). Student's t with Welch's
    degrees of freedom over users. Raises ``ValueError`` for fewer than two users in an arm, unequal
    lengths, values that are not finite, a mean of arm a that is not above 0, and a gain without
    any spread.
    """
    open_unit("alpha", alpha)
    a = _arm("arm a", users_a, values_a)
    b = _arm("arm b", users_b, values_b)
    positive("the mean of arm a", a.mean)
    ratio = b.mean / a.mean
    part_a = ratio**2 * a.variance / a.mean**2
    part_b = b.variance / a.mean**2
    variance = part_a + part_b
    test = student_test(
        ratio - 1.0, math.sqrt(variance), _welch(part_a, a.users, part_b, b.users), alpha
    )
    independent = a.variance_if_independent + b.variance_if_independent
    return ArmDifference(
        mean_a=a.mean,
        mean_b=b.mean,
        delta_abs=b.mean - a.mean,
        delta_rel=ratio - 1.0,
        ci_low=test.ci_low,
        ci_high=test.ci_high,
        lower_bound=test.lower_bound,
        p_value=test.p_value,
        n_a=a.n,
        n_b=b.n,
        users_a=a.users,
        users_b=b.users,
        design_effect=(a.variance + b.variance) / independent if independent > 0.0 else 1.0,
        z_score=_pooled_z(a, b),
    )


def _arm(name: str, users: Users, values: ArrayLike) -> _Arm:
    sample = finite_sample(name, values)
    if len(users) != sample.size:
        raise ValueError(f"{name}: {len(users)} users for {sample.size} values")
    numbers: dict[Hashable, int] = {}
    # A dict, not numpy.unique: fixed-width strings would merge ids that differ in trailing NULs.
    codes = np.fromiter((numbers.setdefault(u, len(numbers)) for u in users), np.intp, sample.size)
    if len(numbers) < 2:
        raise ValueError(f"{name}: {len(numbers)} user, at least 2 needed")
    clusters = len(numbers)
    counts = np.bincount(codes, minlength=clusters).astype(np.float64)
    sums = np.bincount(codes, weights=sample, minlength=clusters).astype(np.float64)
    mean = float(sample.mean())
    residuals = sums - mean * counts
    return _Arm(
        mean=mean,
        variance=clusters / (clusters - 1) * float(residuals @ residuals) / sample.size**2,
        variance_if_independent=float(sample.var(ddof=1)) / sample.size,
        n=int(sample.size),
        users=clusters,
        sums=sums,
        counts=counts,
    )


def _pooled_z(a: _Arm, b: _Arm) -> float:
    mean = (a.sums.sum() + b.sums.sum()) / (a.n + b.n)
    residuals = np.concatenate([a.sums - mean * a.counts, b.sums - mean * b.counts])
    per_user = float(residuals @ residuals) / (residuals.size - 1)
    standard_error = math.sqrt(per_user * (a.users / a.n**2 + b.users / b.n**2))
    return (b.mean - a.mean) / standard_error if standard_error > _NO_SPREAD else 0.0


def _welch(part_a: float, users_a: int, part_b: float, users_b: int) -> float:
    spread = part_a**2 / (users_a - 1) + part_b**2 / (users_b - 1)
    return (part_a + part_b) ** 2 / spread if spread > 0.0 else float(users_a + users_b - 2)

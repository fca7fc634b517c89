"""Looking more than once at a fresh release without crying wolf."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from predator.statistics.samples import finite_sample, open_unit

_NODES = 400
_TAIL = 9.0
_BETS = 24


def obrien_fleming_spending(fraction: float, alpha: float) -> float:
    """Error spent by the time ``fraction`` of the information is in: almost none early on.

    The O'Brien-Fleming-type function ``2 - 2Φ(z(α/2) / √t)`` of Lan and DeMets (1983, Biometrika).
    """
    from scipy.special import ndtr, ndtri

    open_unit("alpha", alpha)
    if not 0.0 < fraction <= 1.0:
        raise ValueError(f"information fraction {fraction} lies outside (0, 1]")
    return 2.0 * float(ndtr(ndtri(alpha / 2) / math.sqrt(fraction)))


def obrien_fleming_boundaries(
    looks: int, alpha: float = 0.05, fractions: Sequence[float] | None = None
) -> tuple[float, ...]:
    """One-sided z boundaries for ``looks`` looks at accumulating data.

    Crossing any of them (z of all the data so far at or beyond the boundary) has probability
    ``alpha`` where nothing changed. To catch drops, compare ``-z``. ``fractions`` are the shares of
    the planned information at each look, increasing to at most 1 (default: equal steps); z at the
    looks must have independent increments, as means of accumulating data do. Computed by the
    recursive integration of Armitage, McPherson and Rowe (1969). Raises ``ValueError`` for an
    illegal plan.
    """
    open_unit("alpha", alpha)
    if looks < 1:
        raise ValueError(f"{looks} looks planned, at least 1 needed")
    times = tuple(fractions) if fractions is not None else _even(looks)
    if len(times) != looks:
        raise ValueError(f"{len(times)} information fractions for {looks} looks")
    steps = np.diff(np.array([0.0, *times]))
    if not (np.isfinite(steps).all() and (steps > 0).all() and times[-1] <= 1.0):
        raise ValueError("information fractions must increase, from above 0 to at most 1")
    return _boundaries(times, alpha)


def gross_drop_evidence(values: ArrayLike, null_mean: float) -> float:
    """Evidence E that a metric in [0, 1] has a mean *below* ``null_mean``.

    Tested: H0, "given what came before, each value has expectation >= ``null_mean``". Under H0 the
    chance that E ever reaches 1/α is at most α, however often one looks (Ville's inequality): at
    α = 0.05 act on E >= 20. For "the release lost more than a share g of the baseline" pass
    ``null_mean = (1 - g) * baseline_mean``; a smaller loss gathers no evidence, which is meant.

    A betting process (Waudby-Smith and Ramdas 2024, JRSS B): the mean over a fixed grid of bets λ
    of ``Π (1 + λ (null_mean - x_i))``, fair without tuning on the data. One user's values are
    alike, which H0 forbids: pass one value per user, or means over many users. ``values`` has shape
    (n,), oldest first; none gives E = 1. Raises ``ValueError`` for values outside [0, 1] or a
    ``null_mean`` outside (0, 1).
    """
    sample = finite_sample("values", values, at_least=0)
    open_unit("null_mean", null_mean)
    if sample.size and (sample.min() < 0.0 or sample.max() > 1.0):
        raise ValueError("values of the metric lie outside [0, 1]")
    # A bet below 1 / (1 - null_mean) can never lose more than everything.
    bets = np.geomspace(0.01, 0.95, _BETS) / (1.0 - null_mean)
    log_wealth = np.array([np.log1p(bet * (null_mean - sample)).sum() for bet in bets])
    return float(np.exp(np.minimum(log_wealth, 700.0)).mean())


def _even(looks: int) -> tuple[float, ...]:
    return tuple((look + 1) / looks for look in range(looks))


@lru_cache(maxsize=64)
def _boundaries(times: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    from scipy.special import ndtr, ndtri

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    spent = [0.0, *(obrien_fleming_spending(time, alpha) for time in times)]
    first = -float(ndtri(spent[1]))
    found = [first]
    at, mass = _grid(nodes, weights, first, times[0])
    mass = mass * _normal_density(at / math.sqrt(times[0])) / math.sqrt(times[0])
    for k in range(1, len(times)):
        scale = math.sqrt(times[k] - times[k - 1])
        target = spent[k + 1] - spent[k]
        low, high = -_TAIL, _TAIL * 2
        for _ in range(60):
            middle = (low + high) / 2
            crossing = float(mass @ ndtr((at - middle) / scale))
            low, high = (middle, high) if crossing > target else (low, middle)
        boundary = high / math.sqrt(times[k])
        found.append(boundary)
        onward, spacing = _grid(nodes, weights, boundary, times[k])
        kernel = _normal_density((onward[:, None] - at[None, :]) / scale) / scale
        at, mass = onward, spacing * (kernel @ mass)
    return tuple(found)


def _grid(
    nodes: NDArray[np.float64], weights: NDArray[np.float64], boundary: float, time: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Integration points for the score ``z √t`` below the boundary, and their weights."""
    low, high = -_TAIL * math.sqrt(time), min(boundary, _TAIL) * math.sqrt(time)
    half = (high - low) / 2
    return low + half * (nodes + 1.0), half * weights


def _normal_density(x: NDArray[np.float64]) -> NDArray[np.float64]:
    density: NDArray[np.float64] = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return density

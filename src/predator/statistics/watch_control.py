"""A fresh release against two controls at once: users held back now, and everybody before."""

from __future__ import annotations

import math

from predator.statistics.watch_sample import Level

COMPATIBLE_Z = 2.0
"""Where the hold-back lies further than this from the past, only the hold-back counts."""


def control_z(live: Level, held: Level, before: Level, drift_sd: float) -> float:
    """z of ``live`` against the controls together, negative where it is worse.

    The hold-back is beside it but small; the past is large, but the level has drifted since, by
    an amount of mean 0 and standard deviation ``drift_sd``. Each weighs as the inverse of its
    variance. Where the two contradict each other (``COMPATIBLE_Z``), the drift was larger than
    that, and the past is left out (test-then-pool: Viele et al. 2014, Pharmaceutical Statistics).
    The hold-back's spread is taken from ``live``, of which there is more: equal where the
    releases are. z at different looks is correlated in no simple way: split the error by
    Bonferroni. 0 where nothing has a spread.
    """
    per_search = live.sd**2 * live.design_effect
    of_held, of_live = per_search / held.n, per_search / live.n
    of_before = before.sd**2 * before.design_effect / before.n + drift_sd**2
    apart = abs(held.mean - before.mean)
    mean, variance = held.mean, of_held
    if of_before > 0.0 and apart <= COMPATIBLE_Z * math.sqrt(of_before + of_held):
        weight = of_held / (of_held + of_before)
        mean = weight * before.mean + (1.0 - weight) * held.mean
        variance = of_held * of_before / (of_held + of_before)
    total = of_live + variance
    return (live.mean - mean) / math.sqrt(total) if total > 0.0 else 0.0

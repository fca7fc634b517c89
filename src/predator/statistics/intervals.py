"""95% intervals of what was counted or averaged, for people who look at a few numbers."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

_TAIL = 0.025


def share_interval(count: int, n: int) -> tuple[float, float]:
    """The share behind ``count`` of ``n`` (Clopper and Pearson, 1934); ``ValueError`` for none."""
    if not 0 <= count <= n or n == 0:
        raise ValueError(f"{count} of {n} is no share")
    from scipy.special import betaincinv

    low = float(betaincinv(count, n - count + 1, _TAIL)) if count else 0.0
    high = float(betaincinv(count + 1, n - count, 1 - _TAIL)) if count < n else 1.0
    return low, high


def mean_interval(values: Sequence[float]) -> tuple[float, float] | None:
    """The mean behind ``values`` by Student's t; ``None`` for fewer than two, which say nothing."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    half = float(stdtrit(len(values) - 1, 1 - _TAIL)) * error
    return mean - half, mean + half

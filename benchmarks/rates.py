"""A rate that was simulated, its interval, and the limit that it must keep."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import beta


@dataclass(frozen=True, slots=True)
class Row:
    """A rate with its 95% interval (Clopper and Pearson), and what it must be."""

    name: str
    rate: float
    low: float
    high: float
    n: int
    limit: str
    kept: bool


def row(name: str, count: int, n: int, limit: str) -> Row:
    """``count`` of ``n``. ``limit``: ``≤ x``, ``≤ x, interval ≤ y``, ``≥ x``, or ``shown``.

    A rate that is exactly what it must be lies beyond it in half of all simulations, so that a
    single limit is broken where the whole interval lies beyond it.
    """
    low = float(beta.ppf(0.025, count, n - count + 1)) if count else 0.0
    high = float(beta.ppf(0.975, count + 1, n - count)) if count < n else 1.0
    return Row(name, count / n, low, high, n, limit, _kept(count / n, low, high, limit))


def _kept(rate: float, low: float, high: float, limit: str) -> bool:
    if ", interval ≤ " in limit:
        first, _, second = limit.partition(", interval ≤ ")
        return rate <= float(first.removeprefix("≤ ")) and high <= float(second)
    sign, _, bound = limit.partition(" ")
    if sign == "≤":
        return low <= float(bound)
    return high >= float(bound) if sign == "≥" else True

"""A reading is a value with its uncertainty, or the reason why there is none.

A bare float cannot reach a decision: it hides missing, stale and failed measurements (I8).
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Value:
    """A measured value: the mean of ``n`` observations, its 95% interval, and when (unix s)."""

    value: float
    n: int
    ci_low: float
    ci_high: float
    at: float

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.value, self.ci_low, self.ci_high, self.at))):
            raise ValueError("a Value is finite; what could not be measured is NoData or Failed")


@dataclass(frozen=True, slots=True)
class NoData:
    """The source answered, with nothing in it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stale:
    """The newest observation is too old to act on."""

    age_s: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The source did not answer, or answered with what cannot be a measurement."""

    error: str


Reading = Value | NoData | Stale | Failed

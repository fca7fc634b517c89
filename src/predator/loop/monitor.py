"""Station 1: decide from readings whether a signal fires.

A signal fires on effect size and persistence (k of the last n windows), and only where the
pooled windows show the change beyond their own noise; never on a p-value alone, and never on
missing data, which is reported instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from predator.domain.readings import Reading, Value
from predator.loop.contract import Row

OF_LAST = 3
"""How many of the newest windows are looked at."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A reading that went beyond its contract. ``delta`` is ``value - baseline``."""

    name: str
    trigger: str
    value: float
    baseline: float
    windows: int
    n: int

    @property
    def delta(self) -> float:
        return self.value - self.baseline

    @property
    def delta_rel(self) -> float:
        return self.delta / self.baseline if self.baseline else 0.0


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a monitor concludes: a signal, or why there is none."""

    signal: Signal | None
    reason: str
    blind: bool = False


def detect(row: Row, baseline: Value, readings: Sequence[Reading], needed: int) -> Assessment:
    """Judge the newest windows of one signal against its baseline.

    ``readings`` are oldest first. ``blind`` is set where too few windows hold a value to say
    anything: missing data is never good news.
    """
    recent = list(readings)[-OF_LAST:]
    values = [reading for reading in recent if isinstance(reading, Value) and reading.n > 0]
    if len(values) < needed:
        return Assessment(None, f"only {len(values)} of {len(recent)} windows hold data", True)
    beyond = [value for value in values if _beyond(row, baseline.value, value.value)]
    pooled = _pool(values)
    if len(beyond) < needed:
        return Assessment(None, f"{len(beyond)} of {len(values)} windows beyond the threshold")
    if not _beyond(row, baseline.value, pooled.value):
        return Assessment(None, "the windows together are not beyond the threshold")
    if not _beyond_noise(row, baseline, pooled):
        return Assessment(None, "the change is within the noise of the windows")
    signal = Signal(row.signal, row.trigger, pooled.value, baseline.value, len(beyond), pooled.n)
    return Assessment(signal, f"{len(beyond)} of {len(values)} windows beyond the threshold")


def _beyond(row: Row, baseline: float, value: float) -> bool:
    limit = baseline * (1 + row.threshold) if row.relative else row.threshold
    return value < limit if row.direction == "down" else value > limit


def _beyond_noise(row: Row, baseline: Value, pooled: Value) -> bool:
    noise = (pooled.ci_high - pooled.ci_low) / 2
    change = pooled.value - row.threshold
    if row.relative:
        noise = math.hypot(noise, (baseline.ci_high - baseline.ci_low) / 2)
        change = pooled.value - baseline.value
    return change < -noise if row.direction == "down" else change > noise


def _pool(values: Sequence[Value]) -> Value:
    n = sum(value.n for value in values)
    mean = sum(value.value * value.n for value in values) / n
    variance = sum(((value.ci_high - value.ci_low) / 2 * value.n) ** 2 for value in values) / n**2
    half: float = variance**0.5
    return Value(mean, n, mean - half, mean + half, max(value.at for value in values))

"""When something is due: durations as people write them, and cron in UTC."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

LEAST_S = 60
MOST_S = 31 * 86_400

_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

_NAMES = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat"
_ATOM = rf"(?:[0-9]{{1,2}}|{_NAMES})"
_ITEM = rf"(?:\*|{_ATOM}(?:-{_ATOM})?)(?:/[0-9]{{1,2}})?"
_FIELD = re.compile(rf"{_ITEM}(?:,{_ITEM}){{0,59}}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Due:
    """When the next cycle is due (unix seconds), and which clock says so."""

    at: float
    trigger: Literal["interval", "schedule"]


def seconds(duration: str) -> int:
    """``"30m"``, ``"4h"``, ``"7d"`` in seconds; ``ValueError`` for anything else."""
    found = _DURATION.fullmatch(duration)
    if not found:
        raise ValueError("a duration is a whole number and s, m, h or d, such as 30m, 4h or 7d")
    value = int(found[1]) * _UNIT_S[found[2]]
    if not LEAST_S <= value <= MOST_S:
        raise ValueError("a duration lies between 1m and 31d")
    return value


def check_cron(cron: str) -> str:
    """``cron`` itself; ``ValueError`` where it is not five fields or never comes true.

    Five fields of numbers, ``*``, ranges, steps, lists and English names. What croniter knows
    beyond that (seconds, ``@daily``, ``L``, and ``R``, which draws at random) is not taken.
    """
    fields = cron.split(" ")
    if len(cron) > 200 or len(fields) != 5 or not all(map(_FIELD.fullmatch, fields)):
        raise ValueError("a schedule is cron with five fields, such as 0 2 * * 0 (Sundays, 02:00)")
    _next(cron, 0.0)
    return cron


def next_fire(cron: str, after_unix_s: float) -> float:
    """The first time strictly after ``after_unix_s`` that ``cron`` names, in UTC, unix seconds.

    Day of month and day of week are alternatives where both are given, as cron has it.
    ``ValueError`` for an unusable ``cron`` or time.
    """
    check_cron(cron)
    if not math.isfinite(after_unix_s) or not 0 <= after_unix_s < 2**33:
        raise ValueError("the time to start from is not a time")
    return _next(cron, after_unix_s)


def next_cycle(interval_s: float, cron: str, after_unix_s: float) -> Due:
    """The next cycle after one at ``after_unix_s``: the interval or the schedule, what is first."""
    by_interval = after_unix_s + interval_s
    by_schedule = next_fire(cron, after_unix_s)
    if by_schedule <= by_interval:
        return Due(by_schedule, "schedule")
    return Due(by_interval, "interval")


def _next(cron: str, after_unix_s: float) -> float:
    from croniter import CroniterError, croniter  # type: ignore[import-untyped]

    try:
        return float(croniter(cron, after_unix_s).get_next(float))
    except (CroniterError, ValueError):
        raise ValueError("this schedule names a time that never comes") from None

"""Cron expressions: five fields, as in crontab(5)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache

from predator.domain.errors import InputError

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, list[str]], ...] = (
    ("minute", 0, 59, []),
    ("hour", 0, 23, []),
    ("day of month", 1, 31, []),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 7, _DAYS),
)
_PART = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?\Z", re.ASCII)
# The 29th of February may be eight years away.
_DAYS_BACK = 366 * 8 + 2


@dataclass(frozen=True, slots=True)
class Cron:
    """When something happens, by the wall clock. A day matches by month, and by either of the two
    day fields where both are restricted."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool

    def latest(self, now: float, zone: tzinfo) -> float | None:
        """The newest matching minute that is not after ``now`` (unix seconds).

        Each match of the wall clock is one instant: of an hour that comes twice the first, and for
        a time that the clock jumps over, as far behind the jump.
        """
        today = datetime.fromtimestamp(now, zone).date()
        for back in range(_DAYS_BACK):
            day = today - timedelta(days=back)
            if self._matches(day):
                instants = [
                    datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()
                    for hour in self.hours
                    for minute in self.minutes
                ]
                past = [instant for instant in instants if instant <= now]
                if past:
                    return max(past)
        return None

    def _matches(self, day: date) -> bool:
        by_day = day.day in self.days
        by_weekday = day.isoweekday() % 7 in self.weekdays
        matches = by_day or by_weekday if self.either_day else by_day and by_weekday
        return day.month in self.months and matches


@lru_cache(maxsize=64)
def parse(text: str) -> Cron:
    """``parse("0 2 * * 0")`` is Sundays at 02:00; ``InputError`` names what is wrong."""
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise InputError(
            f"the cron expression {text!r} has {len(fields)} fields, not {len(_FIELDS)}",
            cure="Give minute, hour, day of month, month and day of week, as in '0 2 * * 0'",
        )
    sets = [
        frozenset(number for part in field.split(",") for number in _part(part, *limits, text))
        for field, limits in zip(fields, _FIELDS, strict=True)
    ]
    minutes, hours, days, months, weekdays = sets
    cron = Cron(
        minutes, hours, days, months, frozenset(day % 7 for day in weekdays),
        either_day=fields[2] != "*" and fields[4] != "*",
    )  # fmt: skip
    if cron.latest(4_102_444_800.0, UTC) is None:
        raise InputError(f"the cron expression {text!r} names no day that ever comes")
    return cron


def _part(part: str, what: str, low: int, high: int, names: list[str], text: str) -> range:
    wrong = InputError(f"the cron expression {text!r} has no {what} in {part!r}")
    found = _PART.match(part)
    if found is None:
        raise wrong
    first, last, step = found.groups()

    def number(word: str) -> int:
        if word.isdigit():
            return int(word)
        if word.lower() in names:
            return names.index(word.lower()) + low
        raise wrong

    if first is None:
        start, end = low, high if high != 7 else 6
    else:
        start = number(first)
        end = number(last) if last else (high if step else start)
    if not low <= start <= end <= high or step == "0":
        raise wrong
    return range(start, end + 1, int(step or 1))

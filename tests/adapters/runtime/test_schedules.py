"""A schedule's tick comes once, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from croniter import CroniterBadDateError, croniter  # type: ignore[import-untyped]
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.adapters.runtime.cron import parse
from predator.adapters.runtime.schedules import Schedule, due, flow_id
from predator.domain.errors import InputError

HOUR = 3600.0
START, END = 1_700_000_000, 1_900_000_000


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_weekly_is_sunday_at_two() -> None:
    weekly = Schedule("cycle", cron="0 2 * * 0")
    sunday = at("2026-11-08T02:00:00+00:00")
    assert due(weekly, sunday - HOUR, sunday - 1) is None
    assert due(weekly, sunday - HOUR, sunday) == sunday
    assert due(weekly, sunday, sunday + 6 * 24 * HOUR) is None
    assert flow_id("weekly", sunday) == "weekly@2026-11-08T02:00:00Z"


def test_of_missed_ticks_the_last_one_is_made_up_for() -> None:
    weekly = Schedule("cycle", cron="0 2 * * 0")
    last, now = at("2026-09-06T02:00:00+00:00"), at("2026-11-10T12:00:00+00:00")
    tick = due(weekly, last, now)
    assert tick == at("2026-11-08T02:00:00+00:00")
    assert due(weekly, tick, now) is None
    every = Schedule("cycle", interval_s=4 * HOUR)
    tick = due(every, last, now)
    assert tick == at("2026-11-10T12:00:00+00:00")
    assert due(every, tick, now + 4 * HOUR - 1) is None
    assert due(every, tick, now + 4 * HOUR) == tick + 4 * HOUR


FIELDS = st.tuples(
    st.sampled_from(["*", "0", "*/15", "5-50/7", "59", "1,2,40"]),
    st.sampled_from(["*", "2", "*/6", "8-18", "0,23"]),
    st.sampled_from(["*", "1", "29", "31", "10-20", "*/9"]),
    st.sampled_from(["*", "2", "JAN-MAR", "*/5", "nov"]),
    st.sampled_from(["*", "0", "7", "mon-fri", "SUN,wed", "1"]),
)


@settings(max_examples=40)
@given(FIELDS, st.integers(START, END))
def test_cron_is_what_another_implementation_says(fields: tuple[str, ...], now: int) -> None:
    expression = " ".join(fields)
    try:
        expected = croniter(expression, now + 1, ret_type=float).get_prev()
    except CroniterBadDateError:
        with pytest.raises(InputError, match="no day that ever comes"):
            parse(expression)
    else:
        assert parse(expression).latest(float(now), UTC) == expected


@pytest.mark.parametrize(
    ("day", "minutes"),
    [("2026-03-28", 3 * 1440), ("2026-10-24", 3 * 1440)],
    ids=["an hour is skipped", "an hour comes twice"],
)
@pytest.mark.parametrize("hour", [2, 3, 4])
def test_daily_is_once_a_day_when_the_clocks_change(day: str, minutes: int, hour: int) -> None:
    zone = ZoneInfo("Europe/Kyiv")
    daily = Schedule("cycle", cron=f"30 {hour} * * *", timezone="Europe/Kyiv")
    start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=zone).timestamp()
    ticks, last = [], start
    for minute in range(0, minutes, 10):
        tick = due(daily, last, start + 60.0 * minute)
        if tick is not None:
            ticks.append(tick)
            last = tick
    days = [datetime.fromtimestamp(tick, zone).date() for tick in ticks]
    assert len(days) == len(set(days)) == 3


@settings(max_examples=200)
@given(st.lists(st.floats(-25 * HOUR, 25 * HOUR), max_size=30), st.booleans())
def test_a_clock_that_jumps_has_no_tick_twice(jumps: list[float], by_cron: bool) -> None:
    schedule = (
        Schedule("cycle", cron="0 */4 * * *", timezone="Europe/Kyiv")
        if by_cron
        else Schedule("cycle", interval_s=4 * HOUR)
    )
    now = last = at("2026-10-24T00:10:00+00:00")
    ticks = []
    for jump in jumps:
        now += jump
        tick = due(schedule, last, now)
        if tick is not None:
            assert last < tick <= now
            ticks.append(tick)
            last = tick
    assert len(ticks) == len(set(ticks))


@pytest.mark.parametrize(
    "cron",
    [
        *["", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *"],
        *["* * * * 8", "*/0 * * * *", "5-1 * * * *", "a * * * *", "* * * foo *", "1- * * * *"],
        *["-1 * * * *", "1,,2 * * * *", "* * 30 2 *", "1.5 * * * *", "@daily", "\u0661 * * * *"],
    ],
)
def test_a_bad_expression_is_named(cron: str) -> None:
    with pytest.raises(InputError, match="cron expression"):
        parse(cron)


def test_a_schedule_is_one_thing() -> None:
    wrongs: list[dict[str, Any]] = [
        {},
        {"cron": "* * * * *", "interval_s": 60.0},
        {"interval_s": 0.5},
        {"interval_s": float("nan")},
        {"interval_s": float("inf")},
        {"cron": "* * * * *", "timezone": "Mars/Olympus"},
        {"cron": "* * * * *", "timezone": "../etc/passwd"},
    ]
    for wrong in wrongs:
        with pytest.raises(InputError):
            Schedule("cycle", **wrong)

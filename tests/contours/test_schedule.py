"""Durations and cron say when the next cycle is due, in UTC, with no clock of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.contours.schedule import check_cron, next_cycle, next_fire, seconds

SUNDAY = datetime(2026, 11, 1, 2, 0, tzinfo=UTC)


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [("1m", 60), ("90s", 90), ("30m", 1800), ("1h", 3600), ("4h", 14_400), ("7d", 604_800)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, value: int) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "4", "h", "4 h", "4H", "-4h", "+4h", "4.5h", "04h", "0h", "59s", "32d", "4h30m", "４h",
     "9999999d", "99999999d", "4h\n", "PT4H"],
)  # fmt: skip
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)


def test_the_weekly_schedule_is_sunday_at_two() -> None:
    cron = "0 2 * * 0"
    assert next_fire(cron, at(2026, 10, 31, 12, 0)) == SUNDAY.timestamp()
    assert next_fire(cron, SUNDAY.timestamp() - 1) == SUNDAY.timestamp()
    assert next_fire(cron, SUNDAY.timestamp()) == (SUNDAY + timedelta(days=7)).timestamp()


def test_a_schedule_does_not_know_summer_time() -> None:
    """In Kyiv 29 March 2026 has 23 hours and 25 October 25; in UTC both have 24."""
    for day in (datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)):
        fires, now = [], day.timestamp()
        while (now := next_fire("30 * * * *", now)) < (day + timedelta(days=1)).timestamp():
            fires.append(now)
        assert len(fires) == 24
        assert {b - a for a, b in pairwise(fires)} == {3600.0}


minutes = st.integers(0, 59)
hours = st.integers(0, 23)


@settings(max_examples=40, deadline=None)
@given(minutes, hours, st.integers(0, 6), st.integers(0, 2**31))
def test_the_next_time_is_the_first_minute_that_matches(
    minute: int, hour: int, weekday: int, after: int
) -> None:
    found = datetime.fromtimestamp(next_fire(f"{minute} {hour} * * {weekday}", after), UTC)
    moment = datetime.fromtimestamp(after, UTC).replace(second=0) + timedelta(minutes=1)
    wanted = moment.replace(hour=hour, minute=minute)
    while wanted < moment or wanted.isoweekday() % 7 != weekday:
        wanted += timedelta(days=1)
    assert found == wanted


@pytest.mark.parametrize(
    "cron", ["0 2 * * 0", "0 2 * * *", "*/5 * * * *", "0-30/10 1,13 1-7 * mon-fri", "0 0 29 2 *"]
)
def test_a_schedule_that_comes_true_is_taken(cron: str) -> None:
    assert check_cron(cron) == cron
    assert next_fire(cron, 0.0) > 0.0


@pytest.mark.parametrize(
    "cron",
    ["", "* * * *", "* * * * * *", "@daily", "@reboot", "R 2 * * *", "H 2 * * *", "0 2 L * *",
     "0 2 * * 0#5", "60 2 * * *", "0 24 * * *", "0 2 * * 8", "*/0 * * * *", "0 0 30 2 *",
     "0 0 31 4,6,9,11 *", "0  2 * * *", " 0 2 * * 0", "0 2 * * 0\n", "０ 2 * * 0",
     "0 2 * * 0; rm", "0," * 200 + "0 2 * * *", "foo bar baz qux quux"],
)  # fmt: skip
def test_what_never_comes_or_is_drawn_at_random_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match="schedule"):
        check_cron(cron)
    with pytest.raises(ValueError, match="schedule"):
        next_fire(cron, 0.0)


@pytest.mark.parametrize("after", [float("nan"), float("inf"), -1.0, 1e12])
def test_a_time_that_is_none_is_refused(after: float) -> None:
    with pytest.raises(ValueError, match="time"):
        next_fire("0 2 * * 0", after)


def test_the_interval_or_the_schedule_whichever_is_first() -> None:
    saturday = at(2026, 10, 31, 20, 0)
    due = next_cycle(4 * 3600, "0 2 * * 0", saturday)
    assert (due.at, due.trigger) == (saturday + 4 * 3600, "interval")
    due = next_cycle(4 * 3600, "0 2 * * 0", due.at)
    assert (due.at, due.trigger) == (SUNDAY.timestamp(), "schedule")

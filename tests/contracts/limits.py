"""What every store of limits must do; a back end's test gives the fixture and inherits this."""

from __future__ import annotations

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.governance import Spend
from predator.ports.limits import Limits

DAY_S = 86_400.0
NOON = datetime(2025, 12, 7, 12, tzinfo=UTC).timestamp()
DECEMBER = datetime(2025, 12, 1, tzinfo=UTC).timestamp()
# The days on which Kyiv's clocks change, and the ends of a month and a year.
STARTS = [datetime(2025, 3, 30, 0, 30), datetime(2025, 10, 26, 0, 30),
          datetime(2025, 11, 30, 23), datetime(2025, 12, 31, 22)]  # fmt: skip
NOT_MONEY = [-0.01, -1e-9, float("nan"), float("inf"), float("-inf"), 1e10]

starts = st.sampled_from([moment.replace(tzinfo=UTC).timestamp() for moment in STARTS])
jumps = st.one_of(
    st.floats(0, 7200),
    st.sampled_from([3600.0, -3600.0, 25 * 3600.0, -25 * 3600.0, DAY_S, -DAY_S]),
    st.floats(-25 * 3600, 25 * 3600),
)
clocks = st.tuples(starts, st.lists(jumps, max_size=40)).map(
    lambda drawn: list(itertools.accumulate(drawn[1], initial=drawn[0]))
)
numbers = itertools.count(1)


def utc_day(at: float) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)).date()


class LimitsContract:
    examples = 12

    def test_no_more_cycles_a_day_than_allowed(self, limits: Limits) -> None:
        assert limits.cycles_on("local", NOON) == 0
        begun = [limits.begin_cycle("local", f"c{n}", NOON + n, 2) for n in range(4)]
        assert begun == [True, True, False, False]
        assert limits.cycles_on("local", NOON) == 2
        assert limits.cycles_on("local", NOON + DAY_S) == 0
        assert limits.begin_cycle("local", "c2", NOON + DAY_S, 2)

    def test_a_cycle_is_counted_once(self, limits: Limits) -> None:
        for at in (NOON, NOON + 1, NOON + DAY_S):
            assert limits.begin_cycle("local", "c", at, 1)
        assert limits.cycles_on("local", NOON) == 1
        assert limits.cycles_on("local", NOON + DAY_S) == 0
        # What was counted stays counted, whatever is allowed now.
        assert limits.begin_cycle("local", "c", NOON, 0)
        assert not limits.begin_cycle("local", "d", NOON, 0)

    def test_contours_are_counted_apart(self, limits: Limits) -> None:
        assert limits.begin_cycle("local", "c", NOON, 1)
        assert limits.begin_cycle("edge-oracle", "c", NOON, 1)
        assert not limits.begin_cycle("local", "d", NOON, 1)

    def test_the_day_is_utc_to_the_second(self, limits: Limits) -> None:
        midnight = datetime(2025, 3, 31, tzinfo=UTC).timestamp()
        assert limits.begin_cycle("local", "a", midnight - 0.001, 1)
        assert not limits.begin_cycle("local", "b", midnight - 0.001, 1)
        assert limits.begin_cycle("local", "b", midnight, 1)

    def test_a_clock_set_back_gains_nothing(self, limits: Limits) -> None:
        assert limits.begin_cycle("local", "a", NOON, 1)
        for back_s in (1, 3600, 25 * 3600, 400 * DAY_S):
            assert not limits.begin_cycle("local", "b", NOON - back_s, 1)
            assert limits.cycles_on("local", NOON - back_s) == 1

    def test_a_clock_set_ahead_and_back_gains_nothing(self, limits: Limits) -> None:
        assert all(limits.begin_cycle("local", name, NOON, 2) for name in "ab")
        assert limits.begin_cycle("local", "c", NOON + 25 * 3600, 2)
        # There is room on the day ahead, but not on the day that the clock names again.
        assert not limits.begin_cycle("local", "d", NOON, 2)
        assert limits.cycles_on("local", NOON) == 2
        assert limits.cycles_on("local", NOON + 26 * 3600) == 1
        assert limits.begin_cycle("local", "d", NOON + 26 * 3600, 2)

    def test_whatever_the_clock_does_no_day_is_exceeded(self, limits: Limits) -> None:
        @settings(max_examples=self.examples)
        @given(clocks, st.integers(0, 4))
        def never_exceeded(clock: list[float], most: int) -> None:
            contour = f"contour {next(numbers)}"
            by_clock, by_latest = Counter[date](), Counter[date]()
            latest = date.min
            for number, at in enumerate(clock):
                if limits.begin_cycle(contour, f"c{number}", at, most):
                    latest = max(latest, utc_day(at))
                    by_clock[utc_day(at)] += 1
                    by_latest[latest] += 1
                assert limits.cycles_on(contour, at) <= most
            assert max(by_clock.values(), default=0) <= most
            assert max(by_latest.values(), default=0) <= most

        never_exceeded()

    def test_money_is_set_aside_up_to_the_budget(self, limits: Limits) -> None:
        assert limits.reserve("local", "a", NOON, 300, 500)
        assert not limits.reserve("local", "b", NOON, 200.000001, 500)
        assert limits.reserve("local", "b", NOON, 200, 500)
        assert limits.spent("local", NOON) == Spend(0, 500)
        limits.settle("a")
        limits.settle("never reserved")
        assert limits.spent("local", NOON) == Spend(0, 200)
        assert limits.reserve("local", "c", NOON, 300, 500)
        assert limits.reserve("edge-oracle", "d", NOON, 500, 500)

    def test_a_reservation_again_is_the_same_one(self, limits: Limits) -> None:
        for _ in range(3):
            assert limits.reserve("local", "a", NOON, 300, 500)
        assert limits.reserve("local", "a", NOON, 300, 0)
        assert limits.reserve("local", "a", NOON, 500, 500)
        assert not limits.reserve("local", "a", NOON, 501, 500)
        assert limits.spent("local", NOON) == Spend(0, 500)

    def test_a_charge_is_booked_once_and_stays(self, limits: Limits) -> None:
        limits.reserve("local", "a", NOON, 10, 500)
        assert limits.charge("local", "a:train", "a", NOON, 4.25)
        assert not limits.charge("local", "a:train", "a", NOON + DAY_S * 90, 99)
        assert limits.spent("local", NOON) == Spend(4.25, 10)
        limits.settle("a")
        assert limits.spent("local", NOON) == Spend(4.25, 0)
        assert limits.charge("edge-oracle", "a:train", "a", NOON, 1)
        assert not limits.reserve("local", "b", NOON, 495.76, 500)
        assert limits.reserve("local", "b", NOON, 495.75, 500)

    def test_a_month_starts_anew_but_what_is_reserved_goes_along(self, limits: Limits) -> None:
        limits.charge("local", "k", "a", DECEMBER - 1, 400)
        limits.reserve("local", "b", DECEMBER - 1, 100, 500)
        assert limits.spent("local", DECEMBER) == Spend(0, 100)
        assert not limits.reserve("local", "c", DECEMBER, 401, 500)
        assert limits.reserve("local", "c", DECEMBER, 400, 500)

    def test_a_clock_set_back_opens_no_budget(self, limits: Limits) -> None:
        limits.charge("local", "k", "a", DECEMBER, 500)
        assert not limits.reserve("local", "b", DECEMBER - DAY_S, 0.000001, 500)
        assert limits.spent("local", DECEMBER - DAY_S) == Spend(500, 0)
        limits.charge("edge-oracle", "n", "a", DECEMBER - 1, 500)
        limits.charge("edge-oracle", "d", "a", DECEMBER, 1)
        assert not limits.reserve("edge-oracle", "b", DECEMBER - 1, 1, 500)
        assert limits.reserve("edge-oracle", "b", DECEMBER, 1, 500)

    def test_money_is_exact(self, limits: Limits) -> None:
        """Ten times 0.1 is 1, and a budget is not exceeded by a tenth of a micro-dollar."""
        for number in range(10):
            assert limits.charge("local", f"k{number}", "a", NOON, 0.1)
        assert limits.spent("local", NOON) == Spend(1.0, 0)
        assert limits.reserve("local", "b", NOON, 0.29, 1.29)
        assert not limits.reserve("local", "c", NOON, 1e-7, 1.29)
        assert limits.reserve("local", "c", NOON, 0, 1.29)
        assert limits.charge("edge-oracle", "k", "a", NOON, 1e9)
        assert limits.spent("edge-oracle", NOON) == Spend(1e9, 0)

    @pytest.mark.parametrize("amount", NOT_MONEY)
    def test_what_is_no_amount_is_refused(self, limits: Limits, amount: float) -> None:
        with pytest.raises(ValueError, match="is not an amount of money"):
            limits.reserve("local", "a", NOON, amount, 500)
        with pytest.raises(ValueError, match="is not an amount of money"):
            limits.reserve("local", "a", NOON, 1, amount)
        with pytest.raises(ValueError, match="is not an amount of money"):
            limits.charge("local", "k", "a", NOON, amount)
        assert limits.spent("local", NOON) == Spend(0, 0)

    @pytest.mark.parametrize("at", [float("nan"), float("inf"), float("-inf"), 1e15, -1e15])
    def test_what_is_no_time_is_refused(self, limits: Limits, at: float) -> None:
        for call in (
            lambda: limits.begin_cycle("local", "a", at, 9),
            lambda: limits.cycles_on("local", at),
            lambda: limits.reserve("local", "a", at, 1, 500),
            lambda: limits.charge("local", "k", "a", at, 1),
            lambda: limits.spent("local", at),
        ):
            with pytest.raises(ValueError, match="is not a time"):
                call()
        assert limits.cycles_on("local", NOON) == 0
        assert limits.spent("local", NOON) == Spend(0, 0)

    def test_whatever_the_clock_does_the_budget_holds(self, limits: Limits) -> None:
        """Cycles that charge no more than they reserved."""
        step = st.tuples(st.sampled_from([0.0, 0.1, 33.3, 120.0]), st.floats(0, 1), st.booleans())

        @settings(max_examples=self.examples)
        @given(clocks, st.lists(step, min_size=41, max_size=41), st.sampled_from([0.0, 100, 250.5]))
        def holds(
            clock: list[float], steps: list[tuple[float, float, bool]], budget: float
        ) -> None:
            contour = f"contour {next(numbers)}"
            booked = Counter[tuple[int, int]]()
            latest = (0, 0)
            for number, (at, (amount, share, settles)) in enumerate(
                zip(clock, steps, strict=False)
            ):
                day = utc_day(at)
                name = f"{contour} {number}"
                if limits.reserve(contour, name, at, amount, budget):
                    latest = max(latest, (day.year, day.month))
                    cost = round(amount * share, 6)
                    assert limits.charge(contour, name, name, at, cost)
                    booked[latest] += round(cost * 1e6)
                    if settles:
                        limits.settle(name)
                # An open reservation is counted beside its own charges until it is settled.
                found = limits.spent(contour, at)
                assert found.charged_usd <= budget
            assert max(booked.values(), default=0) <= budget * 1e6

        holds()

    def test_sixteen_at_once_do_not_exceed_it(self, limits: Limits) -> None:
        with ThreadPoolExecutor(16) as pool:
            begun = list(
                pool.map(lambda n: limits.begin_cycle("local", f"c{n}", NOON, 6), range(32))
            )
            money = list(
                pool.map(lambda n: limits.reserve("local", f"c{n}", NOON, 30, 100), range(32))
            )
            booked = list(
                pool.map(lambda n: limits.charge("local", "k", f"c{n}", NOON, 1), range(16))
            )
        assert (sum(begun), sum(money), sum(booked)) == (6, 3, 1)
        assert limits.cycles_on("local", NOON) == 6
        assert limits.spent("local", NOON) == Spend(1, 90)

"""Intervals of counts and means are those of scipy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from predator.statistics.intervals import mean_interval, share_interval


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_a_share(of: tuple[int, int]) -> None:
    count, n = of
    expected = stats.binomtest(count, n).proportion_ci(method="exact")
    assert share_interval(count, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=50))
def test_a_mean(values: list[float]) -> None:
    found = mean_interval(values)
    error = float(stats.sem(values))
    if error > 1e-12:
        mean = sum(values) / len(values)
        expected = stats.t.interval(0.95, len(values) - 1, loc=mean, scale=error)
        assert found == pytest.approx(expected, abs=1e-9)


def test_what_is_no_share_is_refused_and_one_value_says_nothing_of_a_mean() -> None:
    for count, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(ValueError, match="no share"):
            share_interval(count, n)
    assert mean_interval([0.1]) is None

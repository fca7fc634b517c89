"""A signal is a change that is large, that stays, and that is no noise. No data is no news."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.readings import Failed, NoData, Reading, Stale, Value
from predator.loop.contract import CONTRACT, row
from predator.loop.monitor import Assessment, detect

NDCG = row("ndcg_at_10")
LATENCY = row("latency_p95_ms")
CSAT = row("user_satisfaction")
NOTHING: list[Reading] = [NoData("empty"), Stale(400.0), Failed("timeout"), Failed("NaN")]


def value(mean: float, n: int = 200, half: float = 0.01) -> Value:
    return Value(mean, n, mean - half, mean + half, 0.0)


BASE = value(0.80)


def fires(readings: Sequence[Reading], needed: int = 2, baseline: Value = BASE) -> bool:
    return detect(NDCG, baseline, readings, needed).signal is not None


@pytest.mark.parametrize(
    ("means", "needed", "expected"),
    [
        ([0.80, 0.80, 0.80], 2, False),
        ([0.72, 0.72, 0.72], 2, True),
        ([0.80, 0.72, 0.72], 2, True),
        ([0.72, 0.80, 0.72], 2, True),
        ([0.80, 0.80, 0.60], 2, False),  # one bad window is not a trend
        ([0.80, 0.80, 0.60], 1, True),
        ([0.72, 0.72, 0.80], 3, False),
        ([0.72, 0.72, 0.72], 3, True),
        ([0.77, 0.95, 0.77], 2, False),  # together they are not below the threshold
        ([0.78, 0.78, 0.78], 2, False),  # -2.5%: not enough
        ([0.77, 0.77, 0.77], 2, True),  # -3.75%
        ([0.88, 0.88, 0.88], 2, False),  # better is no drop
        ([0.72, 0.72], 2, True),
        ([0.60, 0.60, 0.80, 0.80, 0.80], 2, False),  # only the newest three count
        ([0.80, 0.80, 0.80, 0.72, 0.72], 2, True),
    ],
)
def test_drops_of_ndcg(means: list[float], needed: int, expected: bool) -> None:
    assert fires([value(mean) for mean in means], needed) is expected


def test_a_signal_says_what_changed_and_by_how_much() -> None:
    found = detect(NDCG, BASE, [value(0.8), value(0.70, 100), value(0.76, 300)], 2)
    assert found.signal is not None
    assert found.signal.trigger == "ndcg_drop"
    pooled = (0.8 * 200 + 0.70 * 100 + 0.76 * 300) / 600
    assert found.signal.value == pytest.approx(pooled)
    assert (found.signal.windows, found.signal.n) == (2, 600)
    assert found.signal.delta == pytest.approx(pooled - 0.8)
    assert found.signal.delta_rel == pytest.approx(pooled / 0.8 - 1)


@pytest.mark.parametrize(
    "readings", [list(p) for n in range(4) for p in product(NOTHING, repeat=n)]
)
def test_missing_data_is_never_a_signal_and_always_said(readings: list[Reading]) -> None:
    for line in CONTRACT:
        found = detect(line, BASE, readings, 1)
        assert found.signal is None
        assert found.blind
        assert "hold data" in found.reason


@pytest.mark.parametrize(
    ("readings", "expected", "blind"),
    [
        ([value(0.7), NoData(""), value(0.7)], True, False),
        ([value(0.7), NoData(""), Failed("")], False, True),
        ([NoData(""), Stale(9), value(0.5)], False, True),
        ([value(0.8), NoData(""), value(0.8)], False, False),
        ([value(0.5), value(0.5), value(0.5), NoData(""), NoData("")], False, True),
        ([Value(0.1, 0, 0.1, 0.1, 0), Value(0.1, 0, 0.1, 0.1, 0)], False, True),
    ],
)
def test_some_data_is_judged_where_there_is_enough(
    readings: list[Reading], expected: bool, blind: bool
) -> None:
    found = detect(NDCG, BASE, readings, 2)
    assert (found.signal is not None, found.blind) == (expected, blind)


def test_what_is_not_finite_cannot_become_a_value() -> None:
    for bad in (math.nan, math.inf, -math.inf):
        for place in range(4):
            numbers = [0.5, 0.4, 0.6, 1.0]
            numbers[place] = bad
            with pytest.raises(ValueError, match="finite"):
                Value(numbers[0], 5, numbers[1], numbers[2], numbers[3])


def test_a_change_within_the_noise_is_no_signal() -> None:
    vague = [value(0.74, 20, half=0.15)] * 3
    assert "noise" in detect(NDCG, BASE, vague, 2).reason
    assert not fires([value(0.74)] * 3, baseline=value(0.80, half=0.2))
    assert fires([value(0.74)] * 3)


@pytest.mark.parametrize(
    ("line", "mean", "half", "expected"),
    [
        (LATENCY, 700, 10, False),
        (LATENCY, 800, 0, False),
        (LATENCY, 801, 0, True),
        (LATENCY, 900, 50, True),
        (LATENCY, 810, 50, False),
        (CSAT, 4.2, 0.1, False),
        (CSAT, 4.0, 0.0, False),
        (CSAT, 3.6, 0.1, True),
        (CSAT, 3.95, 0.2, False),  # a few ratings say nothing
        (row("etl_backlog_s"), 61, 0, True),
        (row("etl_backlog_s"), 59, 0, False),
        (row("index_errors"), 4, 0, True),
        (row("cost_share_of_budget"), 0.9, 0.01, True),
    ],
)
def test_levels(line: object, mean: float, half: float, expected: bool) -> None:
    readings = [value(mean, half=half)] * 3
    found = detect(line, value(1.0), readings, 2)  # type: ignore[arg-type]
    assert (found.signal is not None) is expected


def test_a_baseline_of_zero_has_nothing_to_lose() -> None:
    assert detect(NDCG, value(0.0), [value(0.0)] * 3, 2).signal is None


@given(
    st.lists(
        st.one_of(
            st.builds(value, st.floats(0, 1), st.integers(0, 10_000), st.floats(0, 1)),
            st.sampled_from(NOTHING),
        ),
        max_size=6,
    ),
    st.floats(0, 1),
    st.integers(1, 3),
    st.sampled_from(CONTRACT),
)
def test_it_always_concludes(
    readings: list[Reading], base: float, needed: int, line: object
) -> None:
    found = detect(line, value(base), readings, needed)  # type: ignore[arg-type]
    assert isinstance(found, Assessment)
    assert found.reason
    if found.signal is not None:
        assert not found.blind
        assert needed <= found.signal.windows <= 3
        assert math.isfinite(found.signal.value)


def measured(rng: np.random.Generator, mean: float, n: int) -> Value:
    """A window of NDCG-like scores: a fifth of the searches finds nothing."""
    scores = (rng.random(n) < 0.8) * rng.beta(6, 1.2, n)
    scores *= mean / (0.8 * 6 / 7.2)
    half = 1.96 * float(scores.std(ddof=1)) / math.sqrt(n)
    found = float(scores.mean())
    return Value(found, n, found - half, found + half, 0.0)


@pytest.mark.parametrize(
    ("n", "change", "low", "high"),
    [
        (150, 0.0, 0.0, 0.04),  # nothing happened: about 2.5% of looks fire
        (150, -0.20, 0.95, 1.0),
        (150, -0.10, 0.60, 1.0),
        (600, -0.10, 0.95, 1.0),
    ],
)
def test_how_often_it_fires(n: int, change: float, low: float, high: float) -> None:
    rng = np.random.default_rng(7)
    fired = 0
    rounds = 1500
    for _ in range(rounds):
        baseline = measured(rng, 0.6, 2 * n)
        windows = [measured(rng, 0.6 * (1 + change), n) for _ in range(3)]
        fired += detect(NDCG, baseline, windows, 2).signal is not None
    assert low <= fired / rounds <= high

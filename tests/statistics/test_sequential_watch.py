"""Twelve looks at a fresh release: neither jumpy nor blind."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from predator.statistics.clustered import clustered_difference
from predator.statistics.sequential import (
    gross_drop_evidence,
    obrien_fleming_boundaries,
    obrien_fleming_spending,
)

Vector = NDArray[np.float64]


def brownian_z(rng: np.random.Generator, runs: int, fractions: Vector) -> Vector:
    steps = np.diff(np.concatenate([[0.0], fractions]))
    score = np.cumsum(rng.standard_normal((runs, steps.size)) * np.sqrt(steps), axis=1)
    return np.asarray(score / np.sqrt(fractions), dtype=np.float64)


def test_boundaries_are_those_of_the_literature() -> None:
    five = obrien_fleming_boundaries(5, alpha=0.025)
    assert five == pytest.approx((4.877, 3.357, 2.680, 2.290, 2.031), abs=6e-4)
    assert obrien_fleming_boundaries(1, 0.05) == pytest.approx((stats.norm.isf(0.05),))


@pytest.mark.parametrize(("looks", "alpha"), [(2, 0.05), (12, 0.05), (12, 0.01), (60, 0.05)])
def test_equal_releases_cross_with_probability_alpha(looks: int, alpha: float) -> None:
    fractions = np.arange(1, looks + 1) / looks
    z = brownian_z(np.random.default_rng(looks), 100_000, fractions)
    false_alarms = (z >= obrien_fleming_boundaries(looks, alpha)).any(axis=1).mean()
    assert false_alarms == pytest.approx(alpha, abs=3 * math.sqrt(alpha / 100_000))


def test_uneven_looks_keep_the_level() -> None:
    fractions = np.array([0.05, 0.3, 0.32, 0.9, 1.0])
    z = brownian_z(np.random.default_rng(8), 200_000, fractions)
    bounds = obrien_fleming_boundaries(5, 0.05, list(fractions))
    assert (z >= bounds).any(axis=1).mean() == pytest.approx(0.05, abs=0.0015)


def test_a_watch_over_real_counts_is_quiet_when_equal_and_sees_a_drop() -> None:
    """95% of 1,600 satisfied-or-not searches a look are on the release, 5% are held back."""

    def rolled_back(rate: float, rng: np.random.Generator) -> float:
        release = np.cumsum(rng.binomial(1520, rate, (4000, 12)), axis=1)
        holdback = np.cumsum(rng.binomial(80, 0.8, (4000, 12)), axis=1)
        n_r, n_h = 1520 * np.arange(1, 13), 80 * np.arange(1, 13)
        p_r, p_h = release / n_r, holdback / n_h
        p = (release + holdback) / (n_r + n_h)
        z = (p_r - p_h) / np.sqrt(p * (1 - p) * (1 / n_r + 1 / n_h))
        return float((-z >= obrien_fleming_boundaries(12)).any(axis=1).mean())

    rng = np.random.default_rng(10)
    assert rolled_back(0.8, rng) <= 0.06
    assert rolled_back(0.8 * 1.03, rng) <= 0.01
    assert rolled_back(0.8 * 0.93, rng) >= 0.95


def test_a_watch_over_sticky_users_keeps_its_level() -> None:
    """12 looks at 300 searches, 20% held back; 400 users come back, look after look (ICC 0.3)."""
    rng = np.random.default_rng(15)
    bounds = obrien_fleming_boundaries(12)
    false_alarms = 0
    for _ in range(400):
        taste = rng.normal(0, math.sqrt(0.3), 400)
        held_back = np.arange(400) < 80
        who = rng.integers(0, 400, 12 * 300)
        values = 0.6 + 0.2 * (taste[who] + rng.normal(0, math.sqrt(0.7), who.size))
        for look in range(12):
            seen = slice(0, 300 * (look + 1))
            users, value, old = who[seen], values[seen], held_back[who[seen]]
            z = clustered_difference(users[old], value[old], users[~old], value[~old]).z_score
            if -z >= bounds[look]:
                false_alarms += 1
                break
    assert false_alarms / 400 <= 0.06


def test_almost_nothing_is_spent_early_and_everything_by_the_end() -> None:
    assert obrien_fleming_spending(1 / 12, 0.05) < 1e-10
    assert obrien_fleming_spending(1.0, 0.05) == pytest.approx(0.05)


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 20), st.floats(0.001, 0.2))
def test_boundaries_fall_from_look_to_look(looks: int, alpha: float) -> None:
    bounds = obrien_fleming_boundaries(looks, alpha)
    assert all(a > b for a, b in pairwise(bounds))
    assert bounds[-1] >= stats.norm.isf(alpha) - 1e-9


@pytest.mark.parametrize(
    ("looks", "fractions"),
    [(0, None), (2, [0.5]), (2, [0.5, 0.5]), (2, [0.5, 1.1]), (2, [0.0, 1.0]), (1, [math.nan])],
)
def test_an_illegal_plan_is_refused(looks: int, fractions: list[float] | None) -> None:
    with pytest.raises(ValueError, match=r"look|fraction"):
        obrien_fleming_boundaries(looks, 0.05, fractions)
    with pytest.raises(ValueError, match="fraction"):
        obrien_fleming_spending(0.0, 0.05)


def test_a_release_that_lost_thirty_percent_is_caught_within_two_looks() -> None:
    rng = np.random.default_rng(12)
    baseline = 0.82
    caught = 0
    for _ in range(400):
        values = rng.beta(2.0, 2.0 * (1 / (0.7 * baseline) - 1), 2 * 300)
        caught += gross_drop_evidence(values, 0.8 * baseline) >= 20
    assert caught / 400 >= 0.95


@pytest.mark.parametrize("null_mean", [0.1, 0.5, 0.8])
def test_at_the_edge_of_the_null_evidence_is_rare_at_any_look(null_mean: float) -> None:
    rng = np.random.default_rng(13)
    alarms = 0
    for _ in range(500):
        values = (rng.random(600) < null_mean).astype(float)
        alarms += any(gross_drop_evidence(values[:n], null_mean) >= 20 for n in range(50, 601, 50))
    assert alarms / 500 <= 0.05


def test_on_average_evidence_under_the_null_is_at_most_one() -> None:
    values = (np.random.default_rng(14).random((20_000, 5)) < 0.6).astype(float)
    mean = np.mean([gross_drop_evidence(row, 0.6) for row in values])
    assert mean == pytest.approx(1.0, abs=0.03)


def test_a_small_drop_is_not_a_gross_one() -> None:
    values = np.full(10_000, 0.95 * 0.82)
    assert gross_drop_evidence(values, 0.8 * 0.82) < 1


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), max_size=50), st.floats(0.01, 0.99))
def test_evidence_is_never_negative_and_lower_values_never_lower_it(
    values: list[float], null_mean: float
) -> None:
    evidence = gross_drop_evidence(values, null_mean)
    assert evidence >= 0.0 and math.isfinite(evidence)
    assert gross_drop_evidence([v / 2 for v in values], null_mean) >= evidence * (1 - 1e-12)


def test_no_values_are_no_evidence_and_bad_ones_an_error() -> None:
    assert gross_drop_evidence([], 0.5) == pytest.approx(1.0)
    assert gross_drop_evidence(np.zeros(10**5), 0.9) > 1e100
    for values in ([1.5], [-0.1], [math.nan]):
        with pytest.raises(ValueError, match=r"outside|finite"):
            gross_drop_evidence(values, 0.5)
    for null_mean in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="null_mean"):
            gross_drop_evidence([0.5], null_mean)

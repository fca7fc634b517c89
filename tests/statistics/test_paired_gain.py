"""A gate hears how much better a candidate is, how sure that is, and how many queries it takes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from predator.statistics.paired import needed_n, paired_gain, power_at

metric = st.integers(0, 1000).map(lambda thousandths: thousandths / 1000)
pairs = st.lists(st.tuples(metric, metric), min_size=3, max_size=40)


def skewed_pairs(
    rng: np.random.Generator, n: int, gain: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """NDCG-like: a fifth of the queries finds nothing, the rest is bunched near 1."""
    found = (rng.random(n) < 0.8).astype(np.float64)
    quality = rng.beta(4.0, 1.5, n)
    baseline = found * np.clip(quality + rng.normal(0, 0.1, n), 0, 1)
    candidate = found * np.clip(quality + rng.normal(0, 0.1, n), 0, 1) * (1 + gain)
    return candidate, baseline


def test_the_gain_and_its_parts_are_what_they_say() -> None:
    result = paired_gain([0.6, 0.8, 1.0], [0.5, 0.8, 0.7])
    assert result.n == 3
    assert result.baseline_mean == pytest.approx(2.0 / 3)
    assert result.candidate_mean == pytest.approx(0.8)
    assert result.delta_abs == pytest.approx(0.8 - 2.0 / 3)
    assert result.delta_rel == pytest.approx(0.2)
    assert result.ci_low < result.lower_bound < result.delta_rel < result.ci_high


def test_with_a_constant_baseline_it_is_the_t_test_of_scipy() -> None:
    candidate = np.array([0.42, 0.55, 0.61, 0.49, 0.58, 0.47])
    result = paired_gain(candidate, np.full(6, 0.5), alpha=0.01)
    test = stats.ttest_1samp(candidate / 0.5 - 1, 0.0, alternative="greater")
    interval = stats.ttest_1samp(candidate / 0.5 - 1, 0.0).confidence_interval(0.95)
    assert result.p_value == pytest.approx(float(test.pvalue))
    assert (result.ci_low, result.ci_high) == pytest.approx((interval.low, interval.high))
    assert result.lower_bound == pytest.approx(float(test.confidence_interval(0.99).low))


def test_with_many_queries_it_agrees_with_fiellers_interval() -> None:
    candidate, baseline = skewed_pairs(np.random.default_rng(1), 2000, 0.03)
    result = paired_gain(candidate, baseline)
    (v_c, cov), (_, v_b) = np.cov(candidate, baseline) / 2000
    t2 = float(stats.t.ppf(0.975, 1999)) ** 2
    a = baseline.mean() ** 2 - t2 * v_b
    b = candidate.mean() * baseline.mean() - t2 * cov
    c = candidate.mean() ** 2 - t2 * v_c
    root = math.sqrt(b * b - a * c)
    assert result.ci_low == pytest.approx((b - root) / a - 1, abs=2e-4)
    assert result.ci_high == pytest.approx((b + root) / a - 1, abs=2e-4)


@pytest.mark.parametrize("n", [50, 300])
def test_the_interval_covers_the_truth_95_times_in_100(n: int) -> None:
    rng = np.random.default_rng(n)
    results = [paired_gain(*skewed_pairs(rng, n, 0.05)) for _ in range(2000)]
    covered = np.mean([r.ci_low <= 0.05 <= r.ci_high for r in results])
    assert 0.93 <= covered <= 0.97


def test_equal_candidates_pass_as_rarely_as_alpha_says() -> None:
    rng = np.random.default_rng(7)
    results = [paired_gain(*skewed_pairs(rng, 200, 0.0), alpha=0.05) for _ in range(4000)]
    passed = np.mean([r.lower_bound > 0 for r in results])
    assert 0.035 <= passed <= 0.065


@settings(deadline=None)
@given(pairs, st.sampled_from([1e-9, 1e-4, 0.01, 0.05, 0.2]))
def test_bound_and_p_value_tell_the_same_story(data: list[tuple[float, float]], a: float) -> None:
    candidate, baseline = zip(*data, strict=True)
    try:
        result = paired_gain(candidate, baseline, alpha=a)
    except ValueError:
        return
    assert result.ci_low <= result.delta_rel <= result.ci_high
    if abs(result.p_value - a) > 1e-7 * a:
        assert (result.lower_bound > 0) == (result.p_value < a)


@settings(deadline=None)
@given(pairs, st.floats(0.1, 1000.0))
def test_the_unit_of_the_metric_does_not_matter(
    data: list[tuple[float, float]], unit: float
) -> None:
    candidate, baseline = np.array(data).T
    try:
        one = paired_gain(candidate, baseline)
    except ValueError:
        return
    other = paired_gain(candidate * unit, baseline * unit)
    assert other.delta_rel == pytest.approx(one.delta_rel, rel=1e-6, abs=1e-9)
    assert other.sd == pytest.approx(one.sd, rel=1e-6, abs=1e-9)


def test_the_same_results_are_no_gain_and_never_significant() -> None:
    result = paired_gain([0.3, 0.9, 0.0], [0.3, 0.9, 0.0])
    assert (result.delta_rel, result.lower_bound, result.p_value) == (0.0, 0.0, 1.0)


def test_losing_everything_is_a_loss_not_an_error() -> None:
    result = paired_gain([0.0, 0.0, 0.0], [0.3, 0.9, 0.1])
    assert (result.delta_rel, result.ci_high, result.p_value) == (-1.0, -1.0, 1.0)


@pytest.mark.parametrize(
    ("candidate", "baseline", "complaint"),
    [
        ([0.5], [0.4], "at least 2"),
        ([], [], "at least 2"),
        ([0.5, 0.6], [0.4], "at least 2"),
        ([0.5, 0.6, 0.7], [0.4, 0.5], "cannot pair"),
        ([0.5, math.nan], [0.4, 0.5], "candidate: observation 1 is nan"),
        ([0.5, 0.6], [math.inf, 0.5], "baseline: observation 0 is inf"),
        ([0.5, 0.6], [0.0, 0.0], "baseline mean is 0.0"),
        ([0.5, 0.6], [-0.4, -0.5], "must be finite and above 0"),
        ([[0.5, 0.6]], [[0.4, 0.5]], "one value per observation"),
        (["a", "b"], [0.4, 0.5], "not a list of numbers"),
        ([0.0, 0.0, 0.0, 1.1], [0.0, 0.0, 0.0, 1.0], "without any spread"),
    ],
)
def test_what_cannot_be_compared_is_an_error_that_says_why(
    candidate: list[float], baseline: list[float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        paired_gain(candidate, baseline)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, math.nan])
def test_a_level_outside_0_to_1_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        paired_gain([0.1, 0.2], [0.1, 0.3], alpha=alpha)


@settings(deadline=None)
@given(st.floats(0.02, 2.0), st.floats(0.01, 0.5), st.floats(0.001, 0.2), st.floats(0.3, 0.99))
def test_the_n_that_is_asked_for_is_the_smallest_that_suffices(
    sd: float, effect: float, alpha: float, power: float
) -> None:
    n = needed_n(sd, effect, alpha, power)
    assert power_at(n, sd, effect, alpha) >= power
    assert n == 2 or power_at(n - 1, sd, effect, alpha) < power


def test_n_agrees_with_the_textbook_at_large_n() -> None:
    z = float(stats.norm.ppf(0.95) + stats.norm.ppf(0.8))
    assert needed_n(0.2, 0.015, 0.05, 0.8) == pytest.approx((z * 0.2 / 0.015) ** 2, abs=3)


def test_the_promised_power_is_reached_in_simulation() -> None:
    rng = np.random.default_rng(3)
    n = needed_n(0.2, 0.05, 0.05, 0.8)
    baseline = np.full(n, 0.5)
    shown = [
        paired_gain(0.5 * (1.05 + 0.2 * rng.standard_normal(n)), baseline).lower_bound > 0
        for _ in range(3000)
    ]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.025)


def test_an_effect_too_small_for_any_collection_is_an_error() -> None:
    with pytest.raises(ValueError, match="10⁹"):
        needed_n(1.0, 1e-7, 0.05, 0.8)
    with pytest.raises(ValueError, match="effect_rel"):
        needed_n(0.2, 0.0, 0.05, 0.8)
    with pytest.raises(ValueError, match="sd_rel"):
        power_at(10, math.nan, 0.1, 0.05)
    with pytest.raises(ValueError, match="at least 2"):
        power_at(1, 0.2, 0.1, 0.05)
    assert power_at(10**6, 0.01, 0.5, 0.05) == 1.0

"""Searches of one user are alike; an experiment must not count them as independent people."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from predator.statistics.clustered import clustered_difference

Arm = tuple[NDArray[np.int64], NDArray[np.float64]]


def sticky_arm(rng: np.random.Generator, users: int, mean: float, icc: float = 0.3) -> Arm:
    """Users of 1 to 11 searches (6 on average) whose values correlate at ``icc``."""
    searches = rng.integers(1, 12, users)
    who = np.repeat(np.arange(users), searches)
    taste = rng.normal(0, math.sqrt(icc), users)[who]
    return who, mean + 0.25 * (taste + rng.normal(0, math.sqrt(1 - icc), who.size))


def test_one_search_a_user_is_welchs_t_test() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.5, 0.1, 80), rng.normal(0.52, 0.2, 50)
    result = clustered_difference(range(80), a, range(50), b)
    standard_error = math.hypot(a.std(ddof=1) / math.sqrt(80), b.std(ddof=1) / math.sqrt(50))
    assert result.design_effect == pytest.approx(1.0)
    assert result.delta_abs == pytest.approx(b.mean() - a.mean())
    # The relative interval also carries the uncertainty of the denominator: slightly wider.
    width = (result.ci_high - result.ci_low) * a.mean()
    assert width == pytest.approx(2 * 1.99 * standard_error, rel=0.03)
    welch = stats.ttest_ind(b, a, equal_var=False, alternative="greater")
    assert result.p_value == pytest.approx(float(welch.pvalue), abs=0.01)


@pytest.mark.parametrize(("gain", "users_b"), [(0.0, 60), (0.05, 60), (0.0, 300)])
def test_the_interval_covers_the_truth_with_sticky_users(gain: float, users_b: int) -> None:
    rng = np.random.default_rng(users_b)
    covered = []
    for _ in range(2000):
        a, b = sticky_arm(rng, 240, 0.5), sticky_arm(rng, users_b, 0.5 * (1 + gain))
        result = clustered_difference(*a, *b)
        covered.append(result.ci_low <= gain <= result.ci_high)
    assert 0.93 <= np.mean(covered) <= 0.97


def test_a_a_experiments_promote_as_rarely_as_alpha_says_and_naive_ones_do_not() -> None:
    rng = np.random.default_rng(11)
    clustered, naive = 0, 0
    for _ in range(2000):
        (who_a, a), (who_b, b) = sticky_arm(rng, 240, 0.5), sticky_arm(rng, 60, 0.5)
        clustered += clustered_difference(who_a, a, who_b, b).lower_bound > 0
        everyone = clustered_difference(range(a.size), a, range(b.size), b)
        naive += everyone.lower_bound > 0
    assert 0.035 <= clustered / 2000 <= 0.065
    assert naive / 2000 > 0.1


def test_the_design_effect_is_the_textbooks() -> None:
    rng = np.random.default_rng(4)
    who = np.repeat(np.arange(4000), 6)
    taste = rng.normal(0, math.sqrt(0.3), 4000)[who]
    values = 0.5 + 0.2 * (taste + rng.normal(0, math.sqrt(0.7), who.size))
    result = clustered_difference(who, values, who, values)
    assert result.design_effect == pytest.approx(1 + (6 - 1) * 0.3, rel=0.05)
    assert (result.n_a, result.users_a) == (24000, 4000)


def test_arm_b_is_the_candidate() -> None:
    rng = np.random.default_rng(5)
    a, b = sticky_arm(rng, 500, 0.5), sticky_arm(rng, 500, 0.6)
    better, worse = clustered_difference(*a, *b), clustered_difference(*b, *a)
    assert better.delta_rel > 0 and better.p_value < 0.001 and better.z_score > 3
    assert worse.delta_rel < 0 and worse.p_value > 0.999 and worse.z_score < -3


def test_the_score_for_repeated_looks_is_the_pooled_test_of_two_rates() -> None:
    clicked = [1.0] * 30 + [0.0] * 70, [1.0] * 3 + [0.0] * 17
    result = clustered_difference(range(100), clicked[0], range(20), clicked[1])
    rate = 33 / 120
    expected = (0.15 - 0.3) / math.sqrt(rate * (1 - rate) * (1 / 100 + 1 / 20))
    assert result.z_score == pytest.approx(expected, rel=0.01)


def test_ids_that_look_alike_stay_apart() -> None:
    users = ["u", "u\x00", "\ud800", "u "]
    assert clustered_difference(users, [0.1, 0.2, 0.3, 0.4], users, [0.2] * 4).users_a == 4


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), min_size=4, max_size=60))
def test_order_of_searches_and_names_of_users_do_not_matter(rows: list[tuple[int, float]]) -> None:
    users, values = [user for user, _ in rows], [value for _, value in rows]
    renamed, turned = [f"user {user}" for user in reversed(users)], values[::-1]
    fixed = ([1, 2, 3], [0.5, 0.4, 0.6])
    try:
        one = clustered_difference(*fixed, users, values)
    except ValueError:
        return
    two = clustered_difference(*fixed, renamed, turned)
    assert two.ci_low == pytest.approx(one.ci_low, abs=1e-9)
    assert two.users_b == one.users_b


@pytest.mark.parametrize(
    ("users", "values", "complaint"),
    [
        (["u", "u", "u"], [0.1, 0.2, 0.3], "arm b: 1 user"),
        (["u", "v"], [0.1, 0.2, 0.3], "2 users for 3 values"),
        (["u", "v"], [0.1, math.nan], "not finite"),
        ([], [], "at least 2"),
    ],
)
def test_an_arm_that_says_nothing_is_an_error(
    users: list[str], values: list[float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        clustered_difference(["x", "y"], [0.5, 0.6], users, values)


def test_a_baseline_without_clicks_has_no_relative_gain() -> None:
    with pytest.raises(ValueError, match="mean of arm a"):
        clustered_difference(["x", "y"], [0.0, 0.0], ["u", "v"], [0.1, 0.2])


def test_arms_without_spread_are_equal_worse_or_an_error_never_better() -> None:
    users = ["x", "y", "z"]
    equal = clustered_difference(users, [0.5] * 3, users, [0.5] * 3)
    assert (equal.p_value, equal.z_score, equal.design_effect) == (1.0, 0.0, 1.0)
    dead = clustered_difference(users, [0.5] * 3, users, [0.0] * 3)
    assert (dead.delta_rel, dead.ci_high, dead.p_value) == (-1.0, -1.0, 1.0)
    assert dead.z_score < -2
    with pytest.raises(ValueError, match="spread"):
        clustered_difference(users, [0.5] * 3, users, [0.6] * 3)

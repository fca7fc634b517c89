"""Sums over users say the same as the searches themselves, for one experiment or for many."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.statistics.cluster_moments import Moments, difference, moments
from predator.statistics.clustered import clustered_difference

arm = st.lists(st.tuples(st.integers(0, 5), st.floats(0.0, 1.0)), min_size=4, max_size=40).filter(
    lambda rows: len({user for user, _ in rows}) > 1
)


def sums(rows: list[tuple[int, float]]) -> Moments:
    users = np.unique([user for user, _ in rows], return_inverse=True)[1]
    return moments(users, [value for _, value in rows])


@given(arm, arm)
def test_the_difference_is_that_of_the_searches(
    a: list[tuple[int, float]], b: list[tuple[int, float]]
) -> None:
    """Compared with the test over searches, which goes another way about it."""
    found = difference(sums(a), sums(b))
    values = [[value for _, value in rows] for rows in (a, b)]
    assert found.delta == pytest.approx(np.mean(values[1]) - np.mean(values[0]), abs=1e-9)
    if np.mean(values[0]) <= 0.01 or not math.isfinite(found.variance):
        return
    users = [[user for user, _ in rows] for rows in (a, b)]
    try:
        direct = clustered_difference(users[0], values[0], users[1], values[1])
    except ValueError:
        return
    if direct.z_score and abs(direct.z_score) < 1e6:
        assert float(found.variance) >= (float(found.delta) / direct.z_score) ** 2 * (1 - 1e-6)


@given(arm, arm, st.integers(0, 3))
def test_many_experiments_at_once_are_each_on_its_own(
    a: list[tuple[int, float]], b: list[tuple[int, float]], at: int
) -> None:
    one, two = sums(a), sums(b)
    rows = [
        Moments(
            *(np.array([getattr(one if n == at else two, f.name)] * 2) for f in fields(Moments))
        )
        for n in range(4)
    ]
    wide = difference(rows[at], rows[(at + 1) % 4])
    narrow = difference(one, two)
    for name in ("delta", "variance", "delta_rel", "variance_rel"):
        np.testing.assert_allclose(getattr(wide, name)[1], getattr(narrow, name), rtol=1e-9)


def test_users_in_two_groups_add_up() -> None:
    rng = np.random.default_rng(1)
    who, values = np.repeat(np.arange(20), 3), rng.random(60)
    whole = moments(who, values)
    both = moments(who[:30], values[:30]) + moments(who[30:] - 10, values[30:])
    assert all(
        getattr(whole, f.name) == pytest.approx(getattr(both, f.name)) for f in fields(Moments)
    )


def test_the_past_of_users_takes_off_what_they_differed_by() -> None:
    """Values that are the user's habit and a little luck: CUPED leaves the luck."""
    rng = np.random.default_rng(2)
    habit = rng.random(500)
    who = np.repeat(np.arange(500), 4)
    values = habit[who] + 0.1 * rng.standard_normal(2000)
    half = who < 250
    a = moments(who[half], values[half], habit[:250], 0.5)
    b = moments(who[~half] - 250, values[~half], habit[250:], 0.5)
    plain, corrected = difference(a, b), difference(a, b, cuped=True)
    assert float(corrected.slope) == pytest.approx(1.0, abs=0.05)
    assert corrected.variance < 0.05 * plain.variance
    centred = moments(who[~half] - 250, values[~half], habit[250:], 0.1)
    moved = difference(moments(who[half], values[half], habit[:250], 0.1), centred, cuped=True)
    assert moved.delta == pytest.approx(float(corrected.delta)), "wherever the centre is"


def test_users_of_whom_nothing_is_known_are_left_as_they_are() -> None:
    rng = np.random.default_rng(3)
    who, values = np.repeat(np.arange(100), 2), rng.random(200)
    unknown = np.full(100, np.nan)
    a, b = moments(who, values, unknown, 0.5), moments(who, values[::-1], unknown, 0.5)
    assert difference(a, b, cuped=True).delta == difference(a, b).delta


def test_a_wider_candidate_counts_with_its_own_spread() -> None:
    """As many users of equal means; the candidate's searches differ ten times as much."""
    rng = np.random.default_rng(4)
    narrow = moments(np.arange(4000), 0.5 + 0.02 * rng.standard_normal(4000))
    wide = moments(np.arange(1000), 0.5 + 0.2 * rng.standard_normal(1000))
    found = difference(narrow, wide)
    assert float(found.variance) > 0.8 * 0.2**2 / 1000


@pytest.mark.parametrize("users", [0, 1])
def test_without_two_users_in_an_arm_there_is_no_evidence(users: int) -> None:
    few = moments(np.zeros(users, np.intp), [0.5] * users)
    many = moments(np.arange(10), np.linspace(0, 1, 10))
    for a, b in ((few, many), (many, few)):
        assert difference(a, b).variance == math.inf


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        moments(np.arange(2), [0.1, math.nan])
    with pytest.raises(ValueError, match="2 users for 3 values"):
        moments(np.arange(2), [0.1, 0.2, 0.3])

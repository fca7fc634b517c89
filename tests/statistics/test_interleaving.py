"""Two lists become one in which neither has an advantage, and clicks say which is better."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.statistics.interleaving import (
    CANDIDATE,
    LIVE,
    coins,
    credit,
    preference,
    team_draft,
)

lists = st.lists(st.integers(0, 25), unique=True, max_size=20)
flips = st.lists(st.booleans(), min_size=10, max_size=10)


@settings(max_examples=200, deadline=None)
@given(lists, lists, flips, st.integers(1, 20))
def test_a_draft_is_fair_and_holds_nothing_twice(
    live: list[int], candidate: list[int], first: list[bool], length: int
) -> None:
    places = team_draft(live, candidate, length, first)
    shown = [place.item for place in places]
    assert len(set(shown)) == len(shown) == min(length, len({*live, *candidate}))
    for place in places:
        assert place.live_rank == (live.index(place.item) + 1 if place.item in live else 0)
        assert place.candidate_rank == (
            candidate.index(place.item) + 1 if place.item in candidate else 0
        )
    picks = Counter(place.team for place in places)
    if min(len(live), len(candidate)) >= len(places):
        assert abs(picks[LIVE] - picks[CANDIDATE]) <= 1
    # Whoever picks takes the best that is left of its own list.
    for at, place in enumerate(places):
        own = live if place.team == LIVE else candidate
        assert own[: own.index(place.item)] == [
            item for item in own[: own.index(place.item)] if item in shown[:at]
        ]


def test_equal_lists_are_shown_as_they_are() -> None:
    places = team_draft("abcdef", "abcdef", 4, coins("q", 4))
    assert [place.item for place in places] == list("abcd")
    assert all(place.live_rank == place.candidate_rank for place in places)


def test_one_empty_list_leaves_the_other_whole() -> None:
    assert [place.item for place in team_draft("", "abc", 3, coins("q", 3))] == list("abc")
    assert team_draft("", "", 3, coins("q", 3)) == []


def test_a_list_that_holds_an_item_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        team_draft("aa", "bc", 2, [True])
    with pytest.raises(ValueError, match="coins"):
        team_draft("abc", "bcd", 10, [True])


def test_coins_are_fair_and_the_same_for_one_query_for_ever() -> None:
    assert coins("q-1", 300) == coins("q-1", 300)
    assert coins("q-1", 3) == coins("q-1", 300)[:3]
    assert coins("query 7", 8) == [False, False, False, True, True, False, False, True]
    heads = np.array([coins(f"q-{n}", 5) for n in range(4000)]).mean(axis=0)
    assert np.abs(heads - 0.5).max() < 0.04
    assert len(coins("\ud800", 4)) == 4


def test_a_hit_that_both_rank_alike_says_nothing() -> None:
    assert credit([1, 2], [1, 2], [1, 2]) == 0.0


def test_a_click_is_worth_the_dcg_that_the_candidate_would_have_gained() -> None:
    assert credit([1], [2], [1], decay=0.0) == pytest.approx(1 - 1 / np.log2(3))
    assert credit([1], [0], [1], decay=0.0) == pytest.approx(1.0)
    assert credit([1, 1], [1], [2], decay=0.0) == pytest.approx(1 / np.log2(3) - 1)
    # At place 4 few look: one click there stands for many.
    assert credit([4], [9, 9, 9, 3], [9, 9, 9, 1]) == pytest.approx(0.5 * 4**0.7)


def test_a_click_outside_the_list_is_refused() -> None:
    for click in (0, 3):
        with pytest.raises(ValueError, match="place"):
            credit([click], [1, 2], [2, 1])


def test_credit_changes_sign_with_the_names_of_the_rankers() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        one, other = rng.permutation(10).tolist(), rng.permutation(10).tolist()
        clicks = (1 + rng.choice(10, 3)).tolist()
        assert credit(clicks, one, other) == pytest.approx(-credit(clicks, other, one))


def test_the_expected_credit_is_the_gain_in_dcg_where_the_examination_curve_holds() -> None:
    """Every coin, every click by its chance: no simulation, the expectation itself."""
    live, candidate = [0, 1, 2, 3], [2, 0, 3, 1]
    attraction = {0: 0.1, 1: 0.7, 2: 0.5, 3: 0.2}
    expected = 0.0
    for heads in range(4):
        places = team_draft(live, candidate, 4, [bool(heads & 1), bool(heads & 2)])
        ranks = ([p.live_rank for p in places], [p.candidate_rank for p in places])
        expected += sum(
            attraction[place.item] * at**-0.7 * credit([at], *ranks) / 4
            for at, place in enumerate(places, 1)
        )
    gained = sum(
        attraction[item] / np.log2(2 + at) - attraction[other] / np.log2(2 + at)
        for at, (item, other) in enumerate(zip(candidate, live, strict=True))
    )
    assert expected == pytest.approx(gained)


def test_who_is_better_is_found_and_by_how_much() -> None:
    rng = np.random.default_rng(2)
    users = [f"u{n // 3}" for n in range(3000)]
    told = preference(users, rng.normal(0.02, 0.2, 3000))
    assert told.p_better < 0.001 and told.p_worse > 0.999
    assert told.ci_low < 0.02 < told.ci_high
    assert (told.searches, told.users) == (3000, 1000)
    assert told.wins > told.losses


def test_one_busy_user_is_one_user() -> None:
    rng = np.random.default_rng(3)
    users = ["busy"] * 2000 + [f"u{n}" for n in range(200)]
    credits_ = np.concatenate([np.full(2000, 0.3), rng.normal(0.0, 0.2, 200)])
    assert preference(users, credits_).p_better > 0.05


def test_users_are_the_units_and_equal_rankers_are_told_apart_as_often_as_promised() -> None:
    rng = np.random.default_rng(4)
    users = np.repeat(np.arange(100), 5).tolist()
    false = 0
    for _ in range(400):
        own = np.repeat(rng.normal(0.0, 0.2, 100), 5)
        false += preference(users, own + rng.normal(0.0, 0.1, 500)).p_better <= 0.05
    assert 6 <= false <= 36  # 20 of 400, within what chance does once in a thousand


def test_what_says_nothing_prefers_nobody() -> None:
    told = preference([f"u{n}" for n in range(40)], [0.0] * 40)
    assert (told.mean, told.p_better, told.p_worse) == (0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="30"):
        preference(["a", "b"], [0.1, 0.2])
    with pytest.raises(ValueError, match="not finite"):
        preference([f"u{n}" for n in range(40)], [float("nan")] * 40)
    with pytest.raises(ValueError, match="the same"):
        preference([f"u{n}" for n in range(40)], [0.1] * 40)

"""Simulated users act on what they are shown: better results, more satisfied users."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.simulation.click_user import Habits, Visit, visit
from predator.statistics.click_model import examination, reciprocal_rank_of_first_click

SHOWN = [f"doc-{n}" for n in range(1, 11)]


def visits(relevant_rank: int | None, habits: Habits | None = None) -> list[Visit]:
    judgments = {} if relevant_rank is None else {f"doc-{relevant_rank}": 1}
    return [visit(SHOWN, judgments, np.random.default_rng(n), habits) for n in range(4000)]


@settings(deadline=None)
@given(
    st.lists(st.text(max_size=4), max_size=30),
    st.dictionaries(st.text(max_size=4), st.integers(0, 3)),
    st.integers(0, 2**32),
)
def test_clicks_are_positions_of_the_list_from_the_top_down(
    shown: list[str], judgments: dict[str, int], seed: int
) -> None:
    outcome = visit(shown, judgments, np.random.default_rng(seed))
    assert list(outcome.clicks) == sorted(set(outcome.clicks))
    assert all(1 <= position <= len(shown) for position in outcome.clicks)
    relevant = [p for p in outcome.clicks if judgments.get(shown[p - 1], 0) > 0]
    assert outcome.satisfied == bool(relevant)
    assert outcome.rating is None or 1 <= outcome.rating <= 5
    assert outcome == visit(shown, judgments, np.random.default_rng(seed))


@pytest.mark.parametrize("rank", [1, 4, 10])
def test_a_relevant_result_is_clicked_as_often_as_it_is_looked_at(rank: int) -> None:
    satisfied = np.mean([outcome.satisfied for outcome in visits(rank)])
    assert satisfied == pytest.approx(0.9 * examination(10)[rank - 1], abs=0.025)


def test_irrelevant_results_get_a_little_noise() -> None:
    clicks = np.mean([len(outcome.clicks) for outcome in visits(None)])
    assert clicks == pytest.approx(0.03 * examination(10).sum(), abs=0.02)


def test_a_satisfied_user_mostly_stops() -> None:
    after = [len(o.clicks) for o in visits(1, Habits(noise=0.9)) if 1 in o.clicks]
    assert np.mean([count == 1 for count in after]) > 0.85


def test_ratings_are_few_and_tell_how_it_went() -> None:
    high, low, none = visits(1), visits(8), visits(None)
    given_ratings = np.mean([o.rating is not None for o in high])
    assert given_ratings == pytest.approx(0.15, abs=0.02)
    assert {o.rating for o in high if o.satisfied} == {5, None}
    assert {o.rating for o in low if o.satisfied} == {4, None}
    unhappy = [o.rating for o in none if o.rating is not None]
    assert set(unhappy) == {1, 2, 3, 4}
    assert np.mean([rating in (2, 3) for rating in unhappy]) == pytest.approx(0.8, abs=0.06)


def test_the_same_users_click_higher_where_the_ranking_is_better() -> None:
    def click_mrr(rank: int) -> float:
        return float(np.mean([reciprocal_rank_of_first_click(o.clicks) for o in visits(rank)]))

    assert click_mrr(1) > 1.5 * click_mrr(3) > 1.5 * click_mrr(9)


def test_nothing_shown_is_a_visit_without_clicks() -> None:
    outcome = visit([], {"doc-1": 1}, np.random.default_rng(0), Habits(rating=1.0))
    assert (outcome.clicks, outcome.satisfied) == ((), False)
    assert outcome.rating is not None

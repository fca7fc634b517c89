"""A screen turns away what users like less; it never promotes, and says nothing without data."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.canonical import canonical_json
from predator.domain.verdicts import Screening
from predator.loop import deciders
from predator.loop.experiment.screen import Drafted, ScreenPlan, plan_screen, screen
from predator.ports.feedback import Impression
from tests.loop.screens import drafted

PLAN = ScreenPlan(share=0.2, searches=600, alpha=0.05)


def judged(seen: list[Impression], plan: ScreenPlan = PLAN) -> tuple[Screening, str]:
    inputs = json.loads(canonical_json(deciders.screen_inputs(plan, seen)))
    found = deciders.to_screen(deciders.DECIDERS["screen"](inputs))
    return found.verdict, found.reason


@pytest.mark.parametrize(
    ("prefers", "verdict"), [(0.8, Screening.GO), (0.2, Screening.NO_GO), (0.5, None)]
)
def test_users_say_which_release_they_prefer(prefers: float, verdict: Screening | None) -> None:
    found, reason = judged(drafted(np.random.default_rng(1), 800, prefers=prefers))
    assert found == (verdict or Screening.UNDECIDED), reason
    assert "credit" in reason


def test_equal_releases_are_let_through_or_turned_away_as_seldom_as_promised() -> None:
    said = [judged(drafted(np.random.default_rng(seed), 620))[0] for seed in range(40)]
    assert said.count(Screening.GO) <= 7 and said.count(Screening.NO_GO) <= 7
    assert said.count(Screening.UNDECIDED) >= 28


def test_fewer_searches_than_declared_are_judged_as_they_are_and_counted() -> None:
    found, reason = judged(drafted(np.random.default_rng(1), 599, prefers=0.95))
    assert found is Screening.GO and "599 of the 600" in reason
    assert judged(drafted(np.random.default_rng(1), 40, prefers=0.55))[0] is Screening.UNDECIDED


def test_no_data_decides_nothing() -> None:
    assert judged([])[0] is Screening.UNDECIDED
    few_users = drafted(np.random.default_rng(1), 700, prefers=0.9, users=10)
    found, reason = judged(few_users)
    assert found is Screening.UNDECIDED and "10 users" in reason


def test_a_candidate_that_fails_is_turned_away_however_few_searches_there_were() -> None:
    seen = drafted(np.random.default_rng(1), 50, prefers=0.9, failed=10)
    found, reason = judged(seen)
    assert found is Screening.NO_GO and "failed 10 of 60" in reason
    one = drafted(np.random.default_rng(1), 700, prefers=0.9, failed=1)
    assert judged(one)[0] is Screening.GO


def test_one_user_with_a_thousand_clicks_has_one_voice() -> None:
    fair = drafted(np.random.default_rng(4), 700)
    busy = [
        replace(one, user="busy") for one in drafted(np.random.default_rng(5), 3000, prefers=1.0)
    ]
    assert judged([*fair, *busy])[0] == judged(fair)[0]


def test_a_click_beyond_the_list_is_no_click() -> None:
    seen = drafted(np.random.default_rng(6), 700, prefers=0.5)
    lied = [replace(one, clicks=(*one.clicks, 40)) for one in seen]
    assert judged(lied) == judged(seen)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 60),
            st.lists(
                st.tuples(st.integers(1, 10), st.integers(0, 10), st.integers(0, 10)), max_size=3
            ),
        ),
        max_size=80,
    ),
    st.integers(0, 5),
)
def test_whatever_was_clicked_there_is_an_answer(
    clicked: list[tuple[int, list[tuple[int, int, int]]]], failed: int
) -> None:
    found = screen(
        replace(PLAN, searches=1), [Drafted(f"u{u}", places) for u, places in clicked], failed
    )
    assert found.verdict in Screening
    assert (found.verdict is Screening.GO) <= (found.preference is not None)


def test_the_inputs_name_nobody_and_hold_no_word_of_theirs() -> None:
    text = json.dumps(deciders.screen_inputs(PLAN, drafted(np.random.default_rng(7), 50)))
    assert "text" not in text and '"u1' not in text


def test_a_screen_takes_a_third_of_the_experiments_searches() -> None:
    assert plan_screen(900, 0.2, 0.05) == ScreenPlan(0.2, 300, 0.05)
    assert plan_screen(1, 1.0, 0.05).searches == 1
    for searches, share, alpha in ((0, 0.2, 0.05), (9, 0.0, 0.05), (9, 1.1, 0.05), (9, 0.2, 0.0)):
        with pytest.raises(ValueError):
            plan_screen(searches, share, alpha)

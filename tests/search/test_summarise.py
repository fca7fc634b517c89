"""A summary shows the sentences that answer, and never more than there is room for."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.search.analyze import terms
from predator.search.summarise import summarise

TEXT = (
    "This module has a long history. It started small. Sparse matrices are stored by columns. "
    "Nothing else matters here. A matrix can be dense too. The end of the story."
)


def test_full_shows_the_sentences_that_hold_the_query_in_their_own_order() -> None:
    shown = summarise(TEXT, frozenset(terms("dense sparse matrix")), "full", limit=90)
    assert shown == "Sparse matrices are stored by columns. … A matrix can be dense too."


def test_rare_terms_weigh_more() -> None:
    weights = {"histori": 5.0, "matrix": 0.1, "matric": 0.1}
    shown = summarise(
        TEXT, frozenset(terms("history matrix")), "full", lambda t: weights.get(t, 0.0), limit=35
    )
    assert shown == "This module has a long history."


def test_fast_shows_the_beginning_and_off_nothing() -> None:
    asked = frozenset(terms("matrix"))
    assert summarise(TEXT, asked, "fast", limit=40) == "This module has a long history. It…"
    assert summarise(TEXT, asked, "off") == ""
    assert summarise(TEXT, frozenset(), "full", limit=40).startswith("This module")


def test_without_a_match_the_beginning_is_better_than_nothing() -> None:
    assert summarise(TEXT, frozenset(["zebra"]), "full").startswith("This module has a long")


def test_an_empty_text_has_an_empty_summary() -> None:
    for mode in ("full", "fast", "off"):
        assert summarise("", frozenset(["a"]), mode) == ""


@pytest.mark.parametrize("mode", ["full", "fast", "off"])
@given(st.text(max_size=400), st.sets(st.text(max_size=5), max_size=4), st.integers(2, 300))
def test_any_text_stays_within_the_limit_and_on_one_line(
    mode: Literal["full", "fast", "off"], text: str, asked: set[str], limit: int
) -> None:
    shown = summarise(text, frozenset(asked), mode, limit=limit)
    assert len(shown) <= limit
    assert "\n" not in shown


def test_a_million_characters_cost_little() -> None:
    assert len(summarise("word. " * 200_000, frozenset(["word"]), "full")) <= 280

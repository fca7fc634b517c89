"""The same words find each other, however they are written; any text is allowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.search.analyze import grams, terms


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("readCSV_file", "read csv file"),
        ("HTTPServer", "http server"),
        ("np.linspace", "np linspace"),
        ("classifiers", "classifier"),
        ("Sorting ARRAYS", "sorted array"),
        ("комп'ютери", "комп’ютер"),
        ("документами", "документ"),
    ],
)
def test_ways_to_write_the_same_thing_meet(one: str, other: str) -> None:
    assert terms(one) == terms(other) != []


def test_terms_stand_in_the_order_of_the_text() -> None:
    assert terms("fast fourier transform") == ["fast", "fourier", "transform"]


@given(st.text(max_size=200))
def test_any_text_gives_terms_that_the_index_can_keep(text: str) -> None:
    found = terms(text)
    assert terms(text) == found
    assert all(term and not term.isspace() and len(term.split()) == 1 for term in found)


@given(st.text(alphabet=st.characters(categories=["Cs", "Ll", "Zs"]), max_size=30))
def test_half_a_surrogate_pair_is_a_gap(text: str) -> None:
    clean = "".join(" " if "\ud800" <= c <= "\udfff" else c for c in text)
    assert terms(text) == terms(clean)
    assert isinstance(grams(text), list)


def test_a_word_without_end_is_no_term_and_costs_little() -> None:
    assert terms("x" * 1_000_000) == []
    assert len(grams("x" * 1_000_000)) <= 200


def test_trigrams_find_what_stems_cannot() -> None:
    assert set(grams("std")) < set(grams("std deviation"))
    assert len(set(grams("linspace")) & set(grams("linear spaced"))) >= 4


def test_trigrams_never_meet_a_term() -> None:
    assert not set(grams("the mean")) & set(terms("the mean"))
    assert grams("") == grams("...") == []

"""Each thing is asked once, in many words, and never what Gold asks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.learning.leakage import gold_marks, signature
from predator.learning.query_filters import FILTERS, NEAR, Limits, Sieve, diversity

WIDE = Limits(1000, 1000)


def sieve(limits: Limits = WIDE, gold: Sequence[str] = ()) -> Sieve:
    return Sieve(limits, gold_marks(gold))


def kept(of: Sieve, queries: Sequence[tuple[str, str]]) -> list[str]:
    clean = of.clean([query for query, _ in queries])
    return [q for (q, d), fits in zip(queries, clean, strict=True) if fits and of.offer(q, d)]


def test_each_thing_is_asked_once_and_says_something() -> None:
    one = sieve()
    assert kept(
        one,
        [
            ("mean of array", "a"),
            ("array of mean", "b"),
            ("the means of arrays", "b"),
            ("mean", "c"),
            ("", "d"),
            ("...", "d"),
            ("sum of array", "e"),
            ("solve banded linear systems quickly", "f"),
            ("solve banded linear systems very quickly", "g"),
        ],
    ) == ["mean of array", "sum of array", "solve banded linear systems quickly"]
    assert {name: n for name, n in one.dropped.items() if n} == {
        "too_short": 3, "duplicate": 2, "near_duplicate": 1,
    }  # fmt: skip
    assert tuple(one.dropped) == FILTERS


REWORDED = [
    ("compute the mean of an array", "Compute The MEAN of an Array"),
    ("compute the mean of an array", "an array of the mean compute"),
    ("compute the mean of an array", "computing the means of an arrays"),
    ("compute the mean of an array", "compute, the mean; of an array!?"),
    ("compute the mean of an array", "compute the mean of a sorted array"),
    ("readCSV file", "read csv files"),
    ("пошук документів", "документи пошук"),
    ("пошук документів у тексті", "шукані документи, пошук у текстах"),
]


@pytest.mark.parametrize(("gold", "copy"), REWORDED)
def test_a_gold_question_in_other_words_order_or_inflection_is_a_leak(gold: str, copy: str) -> None:
    one = sieve(gold=[gold, "something else entirely"])
    assert kept(one, [(copy, "d")]) == []
    assert one.dropped["leak"] == 1


def test_a_query_of_the_same_subject_is_no_leak() -> None:
    one = sieve(gold=["compute the mean of an array"])
    assert kept(one, [("sort an array in place", "d")])


def test_no_document_and_no_opening_teaches_alone() -> None:
    one = sieve(Limits(2, 3))
    queries = [(f"unique{i} words{i} here{i}", "a") for i in range(5)]
    assert len(kept(one, queries)) == 2
    alike = [
        (f"how to {w} the {w}er", f"d{i}") for i, w in enumerate(["walk", "talk", "fish", "sail"])
    ]
    assert len(kept(one, alike)) == 3
    assert (one.dropped["document_cap"], one.dropped["opening_cap"]) == (3, 1)


def test_a_query_whose_word_pairs_all_stand_in_others_adds_nothing() -> None:
    one = sieve()
    assert kept(one, [("sparse matrix product of two graphs", "a"), ("matrix product", "b")]) == [
        "sparse matrix product of two graphs"
    ]
    assert one.dropped["repetitive"] == 1


def test_openings_that_users_share_may_be_shared() -> None:
    like = [f"how to do thing{i}" for i in range(8)] + ["other words"] * 2
    assert Limits.of(100, 50, like).per_opening == 70
    assert Limits.of(100, 50, like[:1]) == Limits.of(100, 50)
    assert Limits.of(100, 50) == Limits(4, 5)
    assert Limits.of(10, 5000) == Limits(1, 3)
    assert Limits.of(0, 0) == Limits(0, 3)


WORDS = ["mean", "sum", "sort", "array", "matrix", "graph", "node", "edge", "path", "tree"]


@given(
    st.lists(
        st.lists(st.sampled_from(WORDS), min_size=2, max_size=7, unique=True).map(" ".join),
        max_size=25,
    )
)
def test_no_two_kept_queries_are_near_one_another(queries: list[str]) -> None:
    one = sieve()
    found = [signature(query) for query in kept(one, [(query, "d") for query in queries])]
    for i, left in enumerate(found):
        for right in found[:i]:
            assert len(left & right) / len(left | right) < NEAR
    assert len(found) + sum(one.dropped.values()) == len(queries)


def test_diversity_is_the_share_of_distinct_pairs() -> None:
    assert diversity(["a1 b1 c1", "a1 b1 d1"]) == pytest.approx(3 / 4)
    assert diversity(["same words"] * 4) == pytest.approx(1 / 4)
    assert diversity([]) == diversity(["one"]) == 0.0

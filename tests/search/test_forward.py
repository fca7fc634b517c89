"""The forward index scores any candidate exactly as BM25 is written in the books."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.search.forward import K1, B, ForwardField

corpora = st.lists(st.lists(st.integers(0, 12), max_size=15), min_size=1, max_size=20)
queries = st.dictionaries(st.integers(0, 16), st.integers(1, 3), min_size=1, max_size=6)


def field_of(corpus: Sequence[Sequence[int]]) -> ForwardField:
    field = ForwardField()
    for place, document in enumerate(corpus):
        known = max((t for d in corpus[: place + 1] for t in d), default=-1) + 1
        field.add(document, known)
    return field


def idf(corpus: Sequence[Sequence[int]], term: int) -> float:
    n = len(corpus)
    frequency = sum(term in document for document in corpus)
    return math.log(1 + (n - frequency + 0.5) / (frequency + 0.5))


def bm25(corpus: Sequence[Sequence[int]], row: int, query: dict[int, int]) -> float:
    average = sum(map(len, corpus)) / len(corpus)
    counts = Counter(corpus[row])
    total = 0.0
    for term, weight in query.items():
        if counts[term]:
            norm = K1 * (1 - B + B * len(corpus[row]) / average)
            total += weight * idf(corpus, term) * counts[term] * (K1 + 1) / (counts[term] + norm)
    return total


@settings(deadline=None, max_examples=200)
@given(corpora, queries, st.randoms())
def test_scores_are_those_of_the_formula(
    corpus: list[list[int]], query: dict[int, int], random: object
) -> None:
    field = field_of(corpus)
    rows = np.asarray(
        random.sample(range(len(corpus)), random.randint(1, len(corpus))),  # type: ignore[attr-defined]
        np.int64,
    )
    terms = np.asarray(list(query), np.int32)
    weights = np.asarray(list(query.values()), np.float32)
    scores = field.score(rows, terms, weights)
    total = sum(weight * idf(corpus, term) for term, weight in query.items())
    for place, row in enumerate(rows.tolist()):
        present = [term for term in query if term in corpus[row]]
        share = sum(query[term] * idf(corpus, term) for term in present) / total
        assert scores.bm25[place] == pytest.approx(bm25(corpus, row, query), rel=1e-5, abs=1e-6)
        assert scores.coverage[place] == pytest.approx(share, rel=1e-4, abs=1e-6)
        assert scores.matched[place] == len(present)
    np.testing.assert_array_equal(field.lengths(rows), [len(corpus[row]) for row in rows])


def test_a_term_nobody_holds_scores_nothing_and_has_the_highest_idf() -> None:
    field = field_of([[0, 1], [1]])
    unknown = np.asarray([-1, -2], np.int32)
    scores = field.score(np.asarray([0, 1]), unknown, np.ones(2, np.float32))
    assert not scores.bm25.any()
    assert not scores.matched.any()
    values = field.idf(np.asarray([-1, 0, 1, 99], np.int32))
    assert values[0] == values[3] > values[1] > values[2]


def test_no_rows_or_no_terms_are_no_scores() -> None:
    field = field_of([[0]])
    nothing = field.score(np.empty(0, np.int64), np.asarray([0], np.int32), np.ones(1, np.float32))
    assert len(nothing.bm25) == 0
    empty = field.score(np.asarray([0]), np.empty(0, np.int32), np.empty(0, np.float32))
    assert empty.bm25.tolist() == [0.0]


def test_scores_stay_right_while_the_field_outgrows_its_arrays() -> None:
    rng = np.random.default_rng(0)
    corpus = [rng.integers(0, 3000, 8).tolist() for _ in range(1500)]
    field = field_of_fast(corpus)
    query = {int(corpus[1499][0]): 1, int(corpus[3][1]): 2}
    scores = field.score(
        np.asarray([3, 1499]),
        np.asarray(list(query), np.int32),
        np.asarray(list(query.values()), np.float32),
    )
    assert scores.bm25 == pytest.approx([bm25(corpus, 3, query), bm25(corpus, 1499, query)])
    assert len(field) == 1500


def field_of_fast(corpus: Sequence[Sequence[int]]) -> ForwardField:
    field = ForwardField()
    for document in corpus:
        field.add(document, 3000)
    return field

"""The inverted lists find what the exact scores of the forward index call best."""

from __future__ import annotations

import numpy as np
import pytest

from predator.domain.documents import Document
from predator.search.index import Index
from predator.search.lexical import LexicalIndex
from tests.search.fakes import documents, ids, indexed


@pytest.fixture(scope="module")
def index() -> Index:
    return indexed(documents(400), vectors=False)


@pytest.mark.parametrize("text", ["sparse matrix", "edge edge path", "seed zone read", "token"])
def test_scores_are_nearly_the_exact_ones(index: Index, text: str) -> None:
    query = index.analyse(text)
    rows, scores = index.lexical.search(query.terms, 400)
    exact = index.all.score(rows, query.term_ids, query.weights).bm25
    # tantivy rounds a document's length to one byte; nothing else may differ.
    np.testing.assert_allclose(scores, exact, rtol=0.06)
    everywhere = index.all.score(np.arange(400), query.term_ids, query.weights).bm25
    assert set(rows.tolist()) == set(np.flatnonzero(everywhere > 0).tolist())
    best = np.sort(everywhere)[::-1][: len(rows)]
    assert (exact[:50] >= 0.93 * best[:50]).all()


def test_the_best_come_first_and_no_more_than_asked(index: Index) -> None:
    rows, scores = index.lexical.search(["matrix"], 7)
    assert len(rows) == len(scores) == 7
    assert scores.tolist() == sorted(scores.tolist(), reverse=True)
    assert rows.dtype == np.int64


def test_nothing_asked_or_nothing_known_finds_nothing(index: Index) -> None:
    for asked in ([], ["zzzz"], ["\x00"], ["*"], ["matrix AND *:*"]):
        assert index.lexical.search(asked, 10)[0].tolist() == []


def test_a_search_sees_the_last_commit() -> None:
    lexical = LexicalIndex()
    lexical.add(7, ["alpha", "beta"])
    assert lexical.search(["alpha"], 5)[0].tolist() == []
    lexical.commit()
    assert lexical.search(["alpha"], 5)[0].tolist() == [7]
    lexical.remove([7])
    assert lexical.search(["alpha"], 5)[0].tolist() == [7]
    lexical.commit()
    assert lexical.search(["alpha"], 5)[0].tolist() == []


def test_a_document_that_comes_again_is_found_once_as_it_is_now() -> None:
    index = indexed([Document("a", "old title", "about whales"), Document("b", "x", "whales")])
    index.add([Document("a", "new title", "about dolphins")])
    assert ids(index, index.lexical.search(index.analyse("whales").terms, 9)[0]) == ["b"]
    assert ids(index, index.lexical.search(index.analyse("dolphins").terms, 9)[0]) == ["a"]
    assert len(index) == 2


def test_twice_in_one_batch_leaves_the_later_one() -> None:
    index = indexed([Document("a", "one", "whales"), Document("a", "two", "dolphins")])
    assert index.row_of("a") == 1
    assert index.lexical.search(index.analyse("whales").terms, 9)[0].tolist() == []
    assert index.lexical.search(index.analyse("dolphins").terms, 9)[0].tolist() == [1]


def test_many_terms_are_answered() -> None:
    index = indexed(documents(50), vectors=False)
    query = index.analyse(" ".join(f"word{i}" for i in range(5000)) + " matrix")
    assert len(index.lexical.search(query.terms, 10)[0]) > 0

"""A release brought to life answers as its parts say."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.search.features import FEATURES, features
from predator.search.index import Index
from predator.search.rerank import Reranker
from tests.search.fakes import documents, engine, indexed

TEXT = "sparse matrix norm"


class ByOneFeature:
    """Stands in for LightGBM: the score is one column, missing values are 0."""

    def __init__(self, name: str) -> None:
        self._place = FEATURES.index(name)

    def predict(self, matrix: NDArray[np.float32], **options: object) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = np.nan_to_num(matrix[:, self._place].astype(np.float64))
        if "pred_contrib" in options:
            shares = np.zeros((len(matrix), len(FEATURES) + 1))
            shares[:, self._place] = scores
            return shares
        return scores


@pytest.fixture(scope="module")
def index() -> Index:
    return indexed(documents(300, seed=8))


def test_the_reranker_decides_the_order_of_the_head(index: Index) -> None:
    one = engine(index, Reranker(ByOneFeature("title_terms_log"), 0.0), rerank=20)
    query, found = one.candidates(TEXT)
    head = found.take(20)
    ranking = one.rank(TEXT, 50)
    assert set(ranking.rows.tolist()) == set(head.rows.tolist())
    column = features(index, query, head)[:, FEATURES.index("title_terms_log")]
    wanted = head.rows[np.argsort(-column, kind="stable")]
    assert ranking.rows.tolist() == wanted.tolist()


def test_equal_scores_keep_the_fused_order(index: Index) -> None:
    one = engine(index, Reranker(ByOneFeature("query_terms"), 0.0))
    _, found = one.candidates(TEXT)
    assert one.rank(TEXT, 100).rows.tolist() == found.rows[:100].tolist()


def test_the_base_score_counts_by_its_weight(index: Index) -> None:
    one = engine(index, Reranker(ByOneFeature("bm25"), 1e6), fusion="dense")
    _, found = one.candidates(TEXT)
    assert one.rank(TEXT, 5).rows.tolist() == found.rows[:5].tolist()


def test_what_moves_scores_is_explained_by_name(index: Index) -> None:
    one = engine(index, Reranker(ByOneFeature("coverage"), 0.0))
    shares = one.explain([TEXT, "edge path"])
    assert tuple(shares) == FEATURES
    assert max(shares, key=lambda name: shares[name]) == "coverage"
    assert shares["coverage"] > 0
    assert engine(index).explain([TEXT]) == {}
    assert one.explain([]) == {}


def test_a_query_that_matches_nothing_has_no_hits() -> None:
    empty = indexed(documents(5), vectors=False)
    one = engine(empty, Reranker(ByOneFeature("bm25"), 0.0))
    assert one.rank("qqqq", 10).rows.tolist() == []
    assert one.explain(["qqqq"]) == {}

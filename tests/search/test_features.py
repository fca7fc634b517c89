"""One definition of the ranking features: a model is served what it has learnt from."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.domain.documents import Query
from predator.domain.release import RetrievalParameters
from predator.learning.examples import collect
from predator.learning.lambdamart import prepare
from predator.search.features import FEATURES, features
from predator.search.index import Index
from predator.search.retrieve import retrieve
from tests.search.fakes import HashedEncoder, documents, engine, indexed

ENCODER = HashedEncoder()
TEXTS = ["sparse matrix norm", "edge path", "zone unknownword token token", "std", ""]


@pytest.fixture(scope="module")
def index() -> Index:
    docs = documents(300, seed=5)
    index = indexed(docs, vectors=False)
    some = [i for i in range(300) if i % 7]
    index.set_vectors(some, ENCODER.encode([docs[i].text for i in some]))
    return index


def column(matrix: NDArray[np.float32], name: str) -> list[float]:
    return [float(value) for value in matrix[:, FEATURES.index(name)]]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    "parameters",
    [
        RetrievalParameters(),
        RetrievalParameters(fusion="weighted", dense_weight=0.3, title_boost=1.0),
        RetrievalParameters(fusion="weighted", dense_weight=0.7, title_boost=0.3, rerank=30),
        RetrievalParameters(fusion="dense"),
    ],
    ids=["rrf", "weighted", "rerank-30", "dense"],
)
def test_training_sees_bit_for_bit_what_serving_computes(
    index: Index, text: str, parameters: RetrievalParameters
) -> None:
    (example,) = collect(index, ENCODER, [Query("q", text)], {"q": {"doc-3": 1}})
    (prepared,) = prepare(index, [example], parameters)
    live = engine(
        index,
        fusion=parameters.fusion,
        dense_weight=parameters.dense_weight,
        title_boost=parameters.title_boost,
        rerank=parameters.rerank,
    )
    query, found = live.candidates(text)
    head = found.take(parameters.rerank)
    assert prepared.documents == [index.documents[row].id for row in head.rows]
    np.testing.assert_array_equal(prepared.matrix, features(index, query, head))
    np.testing.assert_array_equal(prepared.fused.astype(np.float32), head.fused)


def test_there_is_one_column_a_name(index: Index) -> None:
    query = index.analyse(TEXTS[0])
    found = retrieve(index, RetrievalParameters(), query, ENCODER.encode_query(TEXTS[0]))
    matrix = features(index, query, found)
    assert matrix.shape == (len(found.rows), len(FEATURES))
    assert matrix.dtype == np.float32
    assert len(set(FEATURES)) == len(FEATURES)
    assert column(matrix, "bm25") == found.bm25.tolist()
    assert column(matrix, "title_bm25") == found.title.bm25.tolist()
    assert column(matrix, "coverage") == found.all.coverage.tolist()
    assert column(matrix, "query_terms") == [3.0] * len(found.rows)
    np.testing.assert_array_equal(matrix[:, FEATURES.index("cosine")], found.cosine)
    best = int(np.argmax(found.bm25_rank == 1))
    assert column(matrix, "bm25_reciprocal_rank")[best] == 1.0
    assert max(column(matrix, "bm25_share_of_best")) == 1.0
    gap = np.nanmax(found.cosine) - found.cosine
    np.testing.assert_array_equal(matrix[:, FEATURES.index("cosine_gap_to_best")], gap)


def test_the_best_three_speak_for_what_is_meant(index: Index) -> None:
    query = index.analyse(TEXTS[0])
    found = retrieve(index, RetrievalParameters(), query, ENCODER.encode_query(TEXTS[0]))
    texts = [index.documents[row].text for row in found.rows[:3]]
    assert index.vectors.has(found.rows[:3]).all()
    near = index.vectors.cosines(found.rows, ENCODER.encode(texts).mean(axis=0))
    told = np.asarray(column(features(index, query, found), "cosine_to_best_three_z"))
    there = np.isfinite(near)
    assert np.corrcoef(near[there], told[there])[0, 1] == pytest.approx(1, abs=1e-5)


def test_only_a_missing_vector_leaves_a_gap(index: Index) -> None:
    for text in TEXTS:
        query = index.analyse(text)
        found = retrieve(index, RetrievalParameters(), query, ENCODER.encode_query(text))
        matrix = features(index, query, found)
        missing = np.isnan(found.cosine)
        gaps = np.isnan(matrix).any(axis=1)
        assert gaps.tolist() == missing.tolist()
        named = {FEATURES[i] for i in np.flatnonzero(np.isnan(matrix).any(axis=0))}
        assert named <= {"cosine", "cosine_gap_to_best"}


def test_without_vectors_or_matches_features_are_still_numbers() -> None:
    index = indexed(documents(30), vectors=False)
    query = index.analyse("matrix edge")
    matrix = features(index, query, retrieve(index, RetrievalParameters(), query, None))
    gaps = [FEATURES.index(name) for name in ("cosine", "cosine_gap_to_best")]
    assert np.isfinite(np.delete(matrix, gaps, axis=1)).all()
    nothing = index.analyse("zzz")
    found = retrieve(index, RetrievalParameters(), nothing, None)
    assert features(index, nothing, found).shape == (0, len(FEATURES))

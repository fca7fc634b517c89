"""Candidates of both sides in one order, with every score in its place."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.release import RetrievalParameters
from predator.search.index import Index
from predator.search.retrieve import Candidates, fuse, retrieve, zscores
from tests.search.fakes import HashedEncoder, documents, engine, indexed

ENCODER = HashedEncoder()
QUERIES = ["sparse matrix norm", "edge path tree", "zone token string unknownword", "plot"]
NAN = float("nan")


@pytest.fixture(scope="module")
def index() -> Index:
    return indexed(documents(300, seed=2))


def found(index: Index, text: str, **parameters: object) -> Candidates:
    wanted = RetrievalParameters(**parameters)  # type: ignore[arg-type]
    return retrieve(index, wanted, index.analyse(text), ENCODER.encode_query(text))


def floats(*values: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.asarray(values, np.float32)


def ranks(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.asarray(values, np.int64)


def test_rrf_by_hand() -> None:
    fused = fuse(
        RetrievalParameters(fusion="rrf", rrf_k=60),
        floats(3, 2, 0),
        floats(0.1, 0.9, 0.5),
        ranks(1, 2, 0),
        ranks(0, 1, 2),
    )
    assert fused.tolist() == pytest.approx([1 / 61, 1 / 62 + 1 / 61, 1 / 62], rel=1e-6)


def test_a_weighted_sum_of_z_scores_by_hand() -> None:
    bm25, cosine = floats(1, 3, 5), floats(0.2, 0.2, 0.8)
    lexical = [-1.2247449, 0, 1.2247449]
    dense = [-0.70710678, -0.70710678, 1.41421356]
    for kind, weight in (("zsum", 0.5), ("weighted", 0.25)):
        fused = fuse(
            RetrievalParameters(fusion=kind, dense_weight=0.25),  # type: ignore[arg-type]
            bm25,
            cosine,
            ranks(3, 2, 1),
            ranks(2, 3, 1),
        )
        wanted = [(1 - weight) * a + weight * b for a, b in zip(lexical, dense, strict=True)]
        assert fused.tolist() == pytest.approx(wanted, rel=1e-5)


def test_z_scores_count_what_is_missing_as_the_lowest() -> None:
    assert zscores(floats(1, NAN, 3)).tolist() == zscores(floats(1, 1, 3)).tolist()
    assert zscores(floats(NAN, NAN)).tolist() == [0, 0]
    assert zscores(floats(2, 2)).tolist() == [0, 0]
    assert zscores(floats()).tolist() == []


@pytest.mark.parametrize("kind", ["bm25", "dense", "rrf", "zsum", "weighted"])
def test_while_no_vector_is_there_the_lexical_order_stands(kind: str) -> None:
    index = indexed(documents(100), vectors=False)
    text = "sparse matrix norm"
    candidates = retrieve(
        index,
        RetrievalParameters(fusion=kind),  # type: ignore[arg-type]
        index.analyse(text),
        ENCODER.encode_query(text),
    )
    assert candidates.fused.tolist() == candidates.bm25.tolist()
    assert candidates.bm25.tolist() == sorted(candidates.bm25.tolist(), reverse=True)
    assert np.isnan(candidates.cosine).all()
    lexical = retrieve(index, RetrievalParameters(), index.analyse(text), None)
    assert lexical.rows.tolist() == candidates.rows.tolist()


@pytest.mark.parametrize("kind", ["dense", "rrf", "zsum", "weighted"])
def test_documents_without_a_vector_are_still_found(kind: str) -> None:
    docs = documents(100)
    index = indexed(docs, vectors=False)
    index.set_vectors(list(range(50)), ENCODER.encode([d.text for d in docs[:50]]))
    candidates = found(index, "sparse matrix norm", fusion=kind)
    without = candidates.rows >= 50
    assert without.any()
    assert np.isnan(candidates.cosine[without]).all()
    assert np.isfinite(candidates.cosine[~without]).all()
    assert np.isfinite(candidates.fused).all()
    if kind == "dense":
        assert without.tolist() == sorted(without.tolist())  # they come last


@pytest.mark.parametrize("text", QUERIES)
def test_every_array_speaks_of_the_same_rows(index: Index, text: str) -> None:
    query, vector = index.analyse(text), ENCODER.encode_query(text)
    lexical = index.lexical.search(query.terms, 40)[0].tolist()
    dense = index.vectors.search(vector, 40)[0].tolist()
    for kind in ("rrf", "zsum", "weighted", "dense"):
        candidates = found(index, text, fusion=kind, depth=40, title_boost=0.5)
        assert set(candidates.rows.tolist()) == {*lexical, *dense}
        assert len(set(candidates.rows.tolist())) == len(candidates.rows)
        exact = index.all.score(candidates.rows, query.term_ids, query.weights)
        title = index.title.score(candidates.rows, query.term_ids, query.weights)
        np.testing.assert_array_equal(candidates.all.bm25, exact.bm25)
        np.testing.assert_array_equal(candidates.all.coverage, exact.coverage)
        np.testing.assert_array_equal(candidates.title.bm25, title.bm25)
        np.testing.assert_array_equal(candidates.title.matched, title.matched)
        np.testing.assert_allclose(candidates.bm25, exact.bm25 + 0.5 * title.bm25, rtol=1e-6)
        np.testing.assert_allclose(
            candidates.cosine, index.vectors.cosines(candidates.rows, vector), atol=1e-6
        )
        for row, a, b in zip(
            candidates.rows.tolist(), candidates.bm25_rank, candidates.dense_rank, strict=True
        ):
            assert a == (lexical.index(row) + 1 if row in lexical else 0)
            assert b == (dense.index(row) + 1 if row in dense else 0)


@pytest.mark.parametrize("text", QUERIES)
def test_equal_scores_stand_by_row_and_the_rest_by_score(index: Index, text: str) -> None:
    for kind in ("bm25", "dense", "rrf", "zsum"):
        candidates = found(index, text, fusion=kind)
        pairs = list(zip((-candidates.fused).tolist(), candidates.rows.tolist(), strict=True))
        assert pairs == sorted(pairs)


@pytest.mark.parametrize("text", QUERIES)
@pytest.mark.parametrize(("weight", "side"), [(0.0, "bm25"), (1.0, "cosine")])
def test_all_weight_on_one_side_gives_that_sides_order(
    index: Index, text: str, weight: float, side: str
) -> None:
    candidates = found(index, text, fusion="weighted", dense_weight=weight)
    values = getattr(candidates, side).tolist()
    assert all(b <= a + 1e-5 for a, b in pairwise(values))
    alone = found(index, text, fusion="bm25" if side == "bm25" else "dense")
    count = min(10, len(alone.rows))
    np.testing.assert_allclose(
        getattr(alone, side)[:count], getattr(candidates, side)[:count], atol=1e-5
    )


def test_title_words_rise_with_the_boost(index: Index) -> None:
    text = "sparse"
    plain = found(index, text, fusion="bm25")
    boosted = found(index, text, fusion="bm25", title_boost=3.0)
    assert set(plain.rows.tolist()) == set(boosted.rows.tolist())
    assert (boosted.title.bm25[:10] > 0).sum() > (plain.title.bm25[:10] > 0).sum()


@settings(max_examples=40)
@given(
    st.sampled_from(QUERIES),
    st.sampled_from(["rrf", "zsum", "weighted", "dense"]),
    st.floats(0, 1),
    st.sampled_from([0.0, 0.3, 1.0]),
)
def test_refusing_what_was_found_is_finding_it_that_way(
    index: Index, text: str, kind: str, weight: float, boost: float
) -> None:
    """Training retrieves once and fuses anew for each setting; serving retrieves with one."""
    wanted = RetrievalParameters(
        fusion=kind,  # type: ignore[arg-type]
        dense_weight=weight,
        title_boost=boost,
    )
    query, vector = index.analyse(text), ENCODER.encode_query(text)
    served = retrieve(index, wanted, query, vector)
    learnt = retrieve(index, RetrievalParameters(), query, vector).refused(wanted)
    for name in ("rows", "bm25", "cosine", "bm25_rank", "dense_rank", "fused"):
        np.testing.assert_array_equal(getattr(served, name), getattr(learnt, name))


@pytest.mark.parametrize("depth", [1, 5, 50])
@pytest.mark.parametrize("kind", ["rrf", "weighted", "dense"])
def test_a_shallower_search_is_known_from_a_deeper_one(index: Index, kind: str, depth: int) -> None:
    wanted = RetrievalParameters(fusion=kind, dense_weight=0.3, depth=depth)  # type: ignore[arg-type]
    for text in QUERIES:
        query, vector = index.analyse(text), ENCODER.encode_query(text)
        served = retrieve(index, wanted, query, vector)
        learnt = retrieve(index, RetrievalParameters(), query, vector).refused(wanted)
        one, other = np.argsort(served.rows), np.argsort(learnt.rows)
        for name in ("rows", "bm25_rank", "dense_rank"):
            np.testing.assert_array_equal(
                getattr(served, name)[one], getattr(learnt, name)[other], name
            )
        # A product with fewer rows rounds its sums in another order.
        for name in ("bm25", "cosine", "fused"):
            np.testing.assert_allclose(
                getattr(served, name)[one], getattr(learnt, name)[other], rtol=1e-5, atol=1e-5
            )


def test_nothing_matches_nothing_breaks() -> None:
    index = indexed(documents(20), vectors=False)
    for text in ("", "zzzz qqqq", "\x00", "!!!"):
        assert len(retrieve(index, RetrievalParameters(), index.analyse(text), None).rows) == 0
    empty = indexed([], vectors=False)
    assert len(found(empty, "matrix").rows) == 0


def test_an_engine_answers_by_its_release(index: Index) -> None:
    text = QUERIES[0]
    assert (
        engine(index, fusion="bm25").rank(text, 5).rows.tolist()
        == found(index, text, fusion="bm25").rows[:5].tolist()
    )
    ranking = engine(index, fusion="rrf").rank(text, 1000)
    assert ranking.scores.tolist() == sorted(ranking.scores.tolist(), reverse=True)
    assert len(engine(index).rank("", 5).rows) == 5  # the dense side has an answer to anything
    assert len(engine(index, fusion="bm25").rank("", 5).rows) == 0

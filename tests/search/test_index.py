"""The index grows while it is searched; what was withdrawn is not found again."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.search import vectors
from predator.search.index import Index
from tests.search.fakes import DIMENSION, HashedEncoder, documents, engine, indexed

ENCODER = HashedEncoder()


def test_unknown_terms_never_meet_a_term_that_comes_later() -> None:
    index = indexed(documents(20))
    before = index.analyse("unheard of words")
    index.add([replace(documents(1)[0], id="new", title="", text="unheard of words " * 3)])
    row = np.asarray([index.row_of("new")], np.int64)
    # A search that analysed its query just before an addition must not score strangers.
    scores = index.all.score(row, before.term_ids, before.weights)
    assert scores.matched.tolist() == [0.0]
    after = index.analyse("unheard of words")
    assert index.all.score(row, after.term_ids, after.weights).matched.tolist() == [3.0]


def test_an_analysed_query_counts_its_terms() -> None:
    index = indexed(documents(20))
    query = index.analyse("matrix Matrices edge zzz zzz")
    assert query.terms == ["matrix", "matric", "edg", "zzz", "zzz"]
    assert query.weights.tolist() == [1, 1, 1, 2]
    assert len(set(query.term_ids.tolist())) == 4
    assert (query.term_ids < 0).tolist() == [False, True, False, True]
    assert index.known_term("matrix")
    assert not index.known_term("zzz")


def test_vectors_of_a_document_replaced_meanwhile_are_passed_over() -> None:
    docs = documents(10)
    index = indexed(docs, vectors=False)
    late = ENCODER.encode([d.text for d in docs])
    (new,) = index.add([replace(docs[4], text="dolphin whale")])
    index.set_vectors(list(range(10)), late)
    assert len(index.vectors) == 9
    assert not index.vectors.has(np.asarray([4, new])).any()
    rows, _ = index.vectors.search(late[4], 10)
    assert 4 not in rows.tolist()


def test_a_replaced_document_is_withdrawn_from_every_side() -> None:
    docs = documents(60)
    index = indexed(docs)
    changed = [replace(d, text=f"{d.text} dolphin{i}") for i, d in enumerate(docs[:30])]
    rows = index.add(changed)
    index.set_vectors(rows, ENCODER.encode([d.text for d in changed]))
    assert len(index) == 60
    assert len(index.vectors) == 60
    for fusion in ("bm25", "dense", "rrf", "weighted"):
        one = engine(index, fusion=fusion)
        for text in ("matrix vector", "dolphin3 matrix", "edge tree path norm"):
            found = one.rank(text, 200).rows.tolist()
            assert not set(found) & set(range(30))
            assert len(found) == len({index.documents[row].id for row in found})


@pytest.mark.parametrize("exact_below", [4096, 50])
def test_it_grows_while_it_is_searched(monkeypatch: pytest.MonkeyPatch, exact_below: int) -> None:
    monkeypatch.setattr(vectors, "EXACT_BELOW", exact_below)
    docs = documents(1600, seed=1)
    texts = {d.id: f"{d.title} {d.text}" for d in docs}
    index = Index(DIMENSION)
    index.set_vectors(index.add(docs[:200]), ENCODER.encode([d.text for d in docs[:200]]))
    done, failures, answered = threading.Event(), [], [0]
    one = engine(index, fusion="weighted", title_boost=0.3)

    def search(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            while not done.is_set():
                text = texts[docs[int(rng.integers(200))].id]
                ranking = one.rank(text, 10)
                found = [index.documents[row].id for row in ranking.rows.tolist()]
                assert found
                assert set(found) <= set(texts)
                assert np.isfinite(ranking.scores).all()
                answered[0] += 1
        except BaseException as error:
            failures.append(error)

    searchers = [threading.Thread(target=search, args=(seed,)) for seed in range(3)]
    for thread in searchers:
        thread.start()
    try:
        for start in range(200, 1600, 64):
            batch = docs[start : start + 64]
            rows = index.add(batch)
            again = index.add([replace(d, category="again") for d in batch[:8]])
            index.set_vectors(rows, ENCODER.encode([d.text for d in batch]))
            index.set_vectors(again, ENCODER.encode([d.text for d in batch[:8]]))
    finally:
        done.set()
        for thread in searchers:
            thread.join()
    assert not failures
    assert answered[0] > 5
    assert len(index) == len(index.vectors) == 1600
    for document in docs[::40]:
        best = one.rank(texts[document.id], 1).rows[0]
        assert index.documents[best].id == document.id
        assert index.row_of(document.id) == best


def test_a_document_replaced_just_as_its_vector_comes_in_is_not_found_by_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    docs = documents(10)
    index = indexed(docs, vectors=False)
    vectors_of = ENCODER.encode([d.text for d in docs])
    replacing = threading.Thread(target=index.add, args=([replace(docs[4], text="whale")],))
    add = index.vectors.add

    def interrupted(rows: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        replacing.start()
        replacing.join(0.1)
        add(rows, values)

    monkeypatch.setattr(index.vectors, "add", interrupted)
    index.set_vectors(list(range(10)), vectors_of)
    replacing.join()
    assert 4 not in index.vectors.search(vectors_of[4], 10)[0].tolist()

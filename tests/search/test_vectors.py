"""The nearest vectors are found, exactly while there are few, nearly always when there are many."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.search import vectors as module
from predator.search.vectors import VectorIndex

DIMENSION = 16


def unit(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    values = rng.standard_normal((count, DIMENSION)).astype(np.float32)
    scaled: NDArray[np.float32] = values / np.linalg.norm(values, axis=1, keepdims=True)
    return scaled


@pytest.fixture
def points() -> NDArray[np.float32]:
    return unit(np.random.default_rng(3), 2500)


def filled(points: NDArray[np.float32]) -> VectorIndex:
    index = VectorIndex(DIMENSION)
    for start in range(0, len(points), 500):
        rows = np.arange(start, min(start + 500, len(points)))
        index.add(rows, points[rows])
    return index


def test_few_vectors_are_searched_exactly(points: NDArray[np.float32]) -> None:
    index = filled(points)
    for query in unit(np.random.default_rng(4), 10):
        rows, cosines = index.search(query, 20)
        wanted = np.argsort(-(points @ query), kind="stable")[:20]
        assert rows.tolist() == wanted.tolist()
        np.testing.assert_allclose(cosines, (points @ query)[wanted], rtol=1e-5)


def test_many_vectors_are_searched_by_a_graph_that_finds_nearly_all(
    points: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = filled(points)
    queries = unit(np.random.default_rng(5), 60)
    exact = [set(index.search(query, 20)[0].tolist()) for query in queries]
    monkeypatch.setattr(module, "EXACT_BELOW", 100)
    found = []
    for query, wanted in zip(queries, exact, strict=True):
        rows, cosines = index.search(query, 20)
        assert cosines.tolist() == sorted(cosines.tolist(), reverse=True)
        np.testing.assert_allclose(cosines, points[rows] @ query, rtol=1e-5)
        found.append(len(wanted & set(rows.tolist())) / 20)
    assert np.mean(found) >= 0.95


@pytest.mark.parametrize("exact_below", [4096, 100])
def test_a_removed_vector_is_never_found(
    points: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch, exact_below: int
) -> None:
    monkeypatch.setattr(module, "EXACT_BELOW", exact_below)
    index = filled(points)
    gone = set(range(0, 2500, 5))
    for row in gone:
        index.remove(row)
        index.remove(row)
    assert len(index) == 2000
    for row in (0, 5, 1000):
        rows, _ = index.search(points[row], 200)
        assert not gone & set(rows.tolist())
        assert np.isnan(index.cosines(np.asarray([row]), points[row]))[0]
    index.add(np.asarray([5]), points[5:6])
    assert index.search(points[5], 1)[0].tolist() == [5]


def test_rows_without_a_vector_are_told_apart() -> None:
    index = VectorIndex(DIMENSION)
    points = unit(np.random.default_rng(6), 3)
    index.add(np.asarray([2, 5000, 7]), points)
    assert index.has(np.asarray([0, 2, 7, 5000, 10**6])).tolist() == [
        False, True, True, True, False,
    ]  # fmt: skip
    cosines = index.cosines(np.asarray([7, 3, 10**6]), points[2])
    assert cosines[0] == pytest.approx(1)
    assert np.isnan(cosines[1:]).all()
    rows, _ = index.search(points[1], 10)
    assert rows.tolist()[0] == 5000
    assert set(rows.tolist()) == {2, 7, 5000}


def test_a_vector_once_set_stays() -> None:
    index = VectorIndex(DIMENSION)
    one, other = unit(np.random.default_rng(7), 2)
    index.add(np.asarray([0]), one[None])
    index.add(np.asarray([0]), other[None])
    assert len(index) == 1
    assert index.cosines(np.asarray([0]), one)[0] == pytest.approx(1)


def test_nothing_is_found_in_nothing() -> None:
    index = VectorIndex(DIMENSION)
    query = unit(np.random.default_rng(8), 1)[0]
    assert index.search(query, 5)[0].tolist() == []
    index.add(np.asarray([0]), query[None])
    index.remove(0)
    assert index.search(query, 5)[0].tolist() == []
    assert len(index) == 0


def test_the_mean_is_over_the_vectors_that_are_there() -> None:
    index = VectorIndex(DIMENSION)
    points = unit(np.random.default_rng(9), 2)
    index.add(np.asarray([0, 1]), points)
    np.testing.assert_allclose(index.mean(np.asarray([0, 1, 5])), points.mean(axis=0), rtol=1e-5)
    assert not index.mean(np.asarray([9])).any()
    assert not index.mean(np.empty(0, np.int64)).any()

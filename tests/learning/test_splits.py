"""Near-identical questions never stand on both sides of a split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.learning.splits import query_clusters, split_by_cluster

clusterings = st.lists(st.integers(0, 30), min_size=1, max_size=300).map(np.asarray)
shares = st.lists(st.floats(0.05, 1), min_size=1, max_size=5)


@given(clusterings, shares, st.integers(0, 2**32 - 1))
def test_clusters_stay_whole_and_every_query_has_a_part(
    clusters: np.ndarray[tuple[int], np.dtype[np.int64]], wanted: list[float], seed: int
) -> None:
    parts = split_by_cluster(clusters, wanted, np.random.default_rng(seed))
    assert ((parts >= 0) & (parts < len(wanted))).all()
    for cluster in set(clusters.tolist()):
        assert len(set(parts[clusters == cluster].tolist())) == 1
    again = split_by_cluster(clusters, wanted, np.random.default_rng(seed))
    assert parts.tolist() == again.tolist()


@pytest.mark.parametrize("wanted", [[0.8, 0.2], [1, 1, 1], [0.7, 0.15, 0.15], [8, 2]])
@pytest.mark.parametrize("seed", range(5))
def test_parts_have_about_their_shares(wanted: list[float], seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 100, 1000)
    parts = split_by_cluster(clusters, wanted, rng)
    held = np.bincount(parts, minlength=len(wanted)) / 1000
    np.testing.assert_allclose(held, np.asarray(wanted) / sum(wanted), atol=0.03)


def test_different_seeds_deal_differently() -> None:
    clusters = np.arange(200)
    deals = {
        tuple(split_by_cluster(clusters, [1, 1], np.random.default_rng(seed)).tolist())
        for seed in range(5)
    }
    assert len(deals) == 5


def test_paraphrases_share_a_cluster() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((40, 32)).astype(np.float32)
    vectors = np.repeat(centres, 5, axis=0) + 0.01 * rng.standard_normal((200, 32))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    clusters = query_clusters(vectors, seed=1)
    assert len(clusters) == 200
    assert len(set(clusters.tolist())) <= 20
    for group in clusters.reshape(40, 5):
        assert len(set(group.tolist())) == 1
    assert query_clusters(vectors, seed=1).tolist() == clusters.tolist()


@pytest.mark.parametrize("count", [0, 1, 19])
def test_few_queries_are_clusters_of_their_own(count: int) -> None:
    assert query_clusters(np.zeros((count, 8), np.float32), 0).tolist() == list(range(count))


def test_identical_queries_are_one_cluster() -> None:
    clusters = query_clusters(np.ones((60, 8), np.float32), 0)
    assert len(set(clusters.tolist())) == 1

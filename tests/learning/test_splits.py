"""Near-identical questions never stand on both sides of a split."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.learning.splits import (
    EARLY,
    LATE,
    NEITHER,
    query_clusters,
    split_by_cluster,
    split_by_time,
    tie,
)

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


@given(clusterings, st.data())
def test_near_duplicates_share_a_cluster_unless_it_would_grow_too_large(
    clusters: np.ndarray[tuple[int], np.dtype[np.int64]], data: st.DataObject
) -> None:
    place = st.integers(0, len(clusters) - 1)
    pairs = data.draw(st.lists(st.tuples(place, place), max_size=40))
    tied = tie(clusters, pairs, most=len(clusters))
    assert all(tied[i] == tied[j] for i, j in pairs)
    for cluster in set(clusters.tolist()):
        assert len(set(tied[clusters == cluster].tolist())) == 1
    largest = int(np.bincount(clusters).max())
    most = data.draw(st.integers(1, len(clusters)))
    assert np.bincount(tie(clusters, pairs, most)).max() <= max(most, largest)


@given(st.integers(30, 400), st.integers(2, 60), st.floats(0, 1), st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_what_decides_was_asked_after_what_is_learnt_and_about_other_things(
    count: int, topics: int, drift: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, topics, count)
    times = 1e9 + 1e6 * (drift * clusters / topics + (1 - drift) * rng.random(count))
    found = split_by_time(clusters, times, 0.3, rng)
    if found is None:
        return
    early, late = found.side == EARLY, found.side == LATE
    assert early.any() and late.any()
    assert times[early].max() < found.cut <= times[late].min()
    assert not set(clusters[early].tolist()) & set(clusters[late].tolist())
    assert set(found.side[~early & ~late].tolist()) <= {NEITHER}


@pytest.mark.parametrize("seed", range(5))
def test_topics_that_come_back_leave_half_and_news_leave_nearly_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    clusters = rng.integers(0, 100, 1000)
    steady = split_by_time(clusters, rng.random(1000), 0.3, rng)
    assert steady is not None
    assert (steady.side == LATE).sum() >= 150 and (steady.side == EARLY).sum() >= 350
    news = split_by_time(clusters, clusters + rng.random(1000), 0.3, rng)
    assert news is not None
    assert (news.side == LATE).sum() >= 270 and (news.side == EARLY).sum() >= 650


def test_questions_of_one_moment_or_one_topic_are_not_split_by_time() -> None:
    rng = np.random.default_rng(0)
    assert split_by_time(np.arange(100), np.ones(100), 0.3, rng) is None
    assert split_by_time(np.zeros(100, np.int64), np.arange(100.0), 0.3, rng) is None

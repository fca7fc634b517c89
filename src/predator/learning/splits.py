"""Splits by query cluster and by time: what decides is neither like what is learnt, nor older."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST = 6
"""Clusters of a collection that is big enough to be clustered at all."""
NEITHER, EARLY, LATE = -1, 0, 1
"""Sides of a split by time."""
_CUTS = 19
"""Cuts that are tried: every twentieth of the questions, in the order they were asked."""
_LEAST_SHARE = 1 / 3
"""A side of a split by time that gets less of what it should hold is no side. Topics that come
back evenly over time leave each side half of its share: a question is dropped where its time
is on one side of the cut and its cluster on the other."""


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """``side`` of each query: early, late, or neither. Late ones were asked at ``cut`` (unix s)
    or after it, early ones before it; no cluster has both."""

    side: NDArray[np.int64]
    cut: float


def query_clusters(vectors: NDArray[np.float32], seed: int) -> NDArray[np.int64]:
    """A cluster number per query from its embedding [n, dimension]: k-means, k = n / 10.

    About ten queries a cluster keeps paraphrases together while leaving enough clusters to
    balance the parts; of few queries there are six at least, so that three parts get theirs.
    """
    n = len(vectors)
    if n < 20:
        return np.arange(n)
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    model = KMeans(max(n // 10, LEAST), init="random", n_init=1, max_iter=10, random_state=seed)
    with warnings.catch_warnings():
        # Queries asked in the same words leave fewer clusters than asked for, as they should.
        warnings.simplefilter("ignore", ConvergenceWarning)
        labels: NDArray[np.int64] = model.fit_predict(vectors).astype(np.int64)
    return labels


def split_by_cluster(
    clusters: NDArray[np.int64], shares: Sequence[float], rng: np.random.Generator
) -> NDArray[np.int64]:
    """A part number per query; parts hold about ``shares`` of the queries, clusters stay whole.

    Clusters are dealt in random order, each to the part that lacks most of its share.
    """
    wanted = np.asarray(shares, float) / sum(shares) * len(clusters)
    have = np.zeros(len(shares))
    part = np.empty(len(clusters), np.int64)
    names, sizes = np.unique(clusters, return_counts=True)
    for i in rng.permutation(len(names)):
        target = int(np.argmax((wanted - have) / np.maximum(wanted, 1e-9)))
        part[clusters == names[i]] = target
        have[target] += sizes[i]
    return part


def tie(
    clusters: NDArray[np.int64], pairs: Iterable[tuple[int, int]], most: int
) -> NDArray[np.int64]:
    """``clusters`` where the two of each pair (i, j) of positions share one.

    k-means alone promises that for no pair. Clusters are joined as long as they hold at most
    ``most`` queries together: questions made from one pattern would else chain into a cluster
    that no part can hold. Pairs that stay apart are for the caller to drop.
    """
    names, member = np.unique(clusters, return_inverse=True)
    joined = list(range(len(names)))
    size = np.bincount(member, minlength=len(names)).tolist()

    def root(one: int) -> int:
        while joined[one] != one:
            joined[one] = joined[joined[one]]
            one = joined[one]
        return one

    for i, j in pairs:
        a, b = root(int(member[i])), root(int(member[j]))
        if a != b and size[a] + size[b] <= most:
            joined[b] = a
            size[a] += size[b]
    return np.asarray([root(int(one)) for one in member], np.int64)


def split_by_time(
    clusters: NDArray[np.int64],
    times: NDArray[np.float64],
    late_share: float,
    rng: np.random.Generator,
) -> TimeSplit | None:
    """Early and late queries [n] by when they were asked (unix s) and by cluster.

    Of the cuts that are tried, the one that leaves most of what each side should hold
    (``late_share`` of the queries late, the others early); clusters that are asked about mostly
    after the cut are late. ``None`` where no cut leaves both sides a third of that.
    """
    names, member = np.unique(clusters, return_inverse=True)
    shuffled = rng.permutation(len(names))
    best, found = _LEAST_SHARE, None
    for cut in np.unique(np.quantile(times, np.arange(1, _CUTS + 1) / (_CUTS + 1))):
        after = np.bincount(member, times >= cut, len(names))
        before = np.bincount(member, times < cut, len(names))
        order = shuffled[np.argsort(-(after / (after + before))[shuffled], kind="stable")]
        late = np.cumsum(after[order]) / (late_share * len(times))
        early = (before.sum() - np.cumsum(before[order])) / ((1 - late_share) * len(times))
        held = np.minimum(late, early)
        k = int(np.argmax(held))
        if held[k] > best:
            best, found = float(held[k]), (float(cut), order[: k + 1])
    if found is None:
        return None
    cut, chosen = found
    is_late = np.isin(member, chosen)
    side = np.full(len(times), NEITHER, np.int64)
    side[is_late & (times >= cut)] = LATE
    side[~is_late & (times < cut)] = EARLY
    return TimeSplit(side, cut)

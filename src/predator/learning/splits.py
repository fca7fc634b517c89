"""Splits by query cluster: near-identical questions never stand on both sides."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST = 6
"""Clusters of a collection that is big enough to be clustered at all."""


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

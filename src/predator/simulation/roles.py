"""Which judged question may be learnt from, which is watched, and which decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Collection, Query
from predator.domain.gold_set import Provenance, SplitRule, is_human
from predator.learning.leakage import near_duplicates, near_pairs
from predator.learning.splits import EARLY, LATE, split_by_cluster, split_by_time, tie

TRAINING, LIVE, GOLD = 0.5, 0.2, 0.3
"""Shares of the roles where the collection does not say what is its test."""
_WITH_TEST = (0.7, 0.3)
"""Training and live of what is not the collection's own test."""


def deal_roles(
    collection: Collection,
    queries: Sequence[Query],
    clusters: NDArray[np.int64],
    rng: np.random.Generator,
    seed: int,
    provenance: Provenance | None = None,
) -> tuple[dict[str, str], SplitRule]:
    """The role of each of ``queries`` ([n] clusters), by id, and the rule that dealt them.

    A collection's own ``test`` split is its Gold where it has a ``train`` split too. Otherwise
    Gold is split off by query cluster, near-duplicates tied together, and by time as well where
    all questions say when they were asked: the newest are Gold, and those whose time and cluster
    disagree stand ``aside``. Two things hold whatever the split: a question that no person
    judged is never Gold (it stands aside where Gold would be its side), and one that says what a
    Gold question says is never learnt from (it is only watched).
    """
    names = [query.id for query in queries]
    test, train = collection.splits.get("test"), collection.splits.get("train")
    if test and train:
        rest = np.asarray([i for i, name in enumerate(names) if name not in test], np.int64)
        dealt = ["gold"] * len(names)
        for i, part in zip(rest, split_by_cluster(clusters[rest], _WITH_TEST, rng), strict=True):
            dealt[i] = ("training", "live")[part]
        rule = SplitRule(
            "the collection's test split", "the collection says what its test is", seed
        )
    else:
        texts = [query.text for query in queries]
        # Half of the smallest part: a part can still be made up of several clusters.
        tied = tie(clusters, near_pairs(texts), max(1, int(LIVE / 2 * len(queries))))
        dealt, rule = _by_cluster_and_time(names, tied, rng, seed, provenance)
    if provenance is not None:
        dealt = [
            "aside" if role == "gold" and not is_human(provenance.lineage[name]) else role
            for name, role in zip(names, dealt, strict=True)
        ]
    watched = _watch_what_gold_says(queries, dealt)
    made = SplitRule(rule.by, rule.why, seed, rule.cut, watched, dealt.count("aside"))
    return dict(zip(names, dealt, strict=True)), made


def _by_cluster_and_time(
    names: Sequence[str],
    clusters: NDArray[np.int64],
    rng: np.random.Generator,
    seed: int,
    provenance: Provenance | None,
) -> tuple[list[str], SplitRule]:
    asked = provenance.asked_at if provenance is not None else {}
    timed = sum(name in asked for name in names)
    why = f"{timed or 'none'} of {len(names)} questions say when they were asked"
    if names and timed == len(names):
        times = np.asarray([asked[name] for name in names], np.float64)
        found = split_by_time(clusters, times, GOLD, rng)
        if found is not None:
            early = np.flatnonzero(found.side == EARLY)
            roles = np.where(found.side == LATE, "gold", "aside").tolist()
            for i, part in zip(
                early, split_by_cluster(clusters[early], [TRAINING, LIVE], rng), strict=True
            ):
                roles[i] = ("training", "live")[part]
            why = "all questions say when they were asked"
            return roles, SplitRule("cluster and time", why, seed, found.cut)
        why = "no cut in time leaves enough questions on both sides"
    parts = split_by_cluster(clusters, [TRAINING, LIVE, GOLD], rng)
    return [("training", "live", "gold")[part] for part in parts], SplitRule("cluster", why, seed)


def _watch_what_gold_says(queries: Sequence[Query], dealt: list[str]) -> int:
    """Turn training questions that are near-duplicates of Gold into watched ones; how many."""
    gold = [query.text for query, role in zip(queries, dealt, strict=True) if role == "gold"]
    learnt = [i for i, role in enumerate(dealt) if role == "training"]
    near = near_duplicates([queries[i].text for i in learnt], gold)
    for i in np.asarray(learnt, np.int64)[near]:
        dealt[i] = "live"
    return int(near.sum())

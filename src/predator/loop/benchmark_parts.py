"""How a benchmark parts the queries of a collection: to learn from, for the gate, for the report.

With a train and a test split: everything is learnt on a part of train, the gate decides on a dev
part cut from train by query cluster, and test is read for the report alone. Without: K-fold by
query cluster, every tuned row scored out of fold, the same queries in every row; a collection with
very many judged queries is cut once instead, by query cluster, into train and test. Without labels
nothing judged is learnt from: queries are made from documents, and what they were made from is
taken out of the documents that they are learnt and gated on (inverse cloze). Where nothing is
judged at all, the gate's made queries are what is reported, and the protocol says what that is
worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document, Judgments, Query
from predator.domain.errors import InputError
from predator.domain.release import Release
from predator.learning.leakage import near_duplicates
from predator.learning.measures import Scores, score
from predator.learning.query_generation import generate_queries, masked
from predator.learning.splits import query_clusters, split_by_cluster
from predator.loop.evaluate import Gates
from predator.loop.observe import judgments_for
from predator.loop.replica import Replica
from predator.loop.training.learn import Learner
from predator.ports.progress import Progress

FOLDS = 5
DEV_SHARE = 0.3
LEAST_REPORTED = 10
LEAST_MADE = 60
"""Queries made from documents of which the gate's part is not smaller than a category's least."""
CUT_ONCE_FROM = 3000
"""Judged queries from which one cut is as good as folds and costs a fifth."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What a benchmark runs over.

    ``live`` is the release that the first cycle starts from. ``learner_of`` makes what learns
    over a replica from a seed, ``replica_of`` a replica of other documents.
    """

    replica: Replica
    live: Release
    queries: Sequence[Query]
    judgments: Judgments
    gates: Gates
    cpu_hour_usd: float
    seed: int
    progress: Progress
    learner_of: Callable[[Replica, int, bool], Learner]
    replica_of: Callable[[Sequence[Document]], Replica]
    generated: int

    def scores(
        self, name: str, replica: Replica, release: Release, queries: Sequence[Query],
        judgments: Judgments,
    ) -> Scores:  # fmt: skip
        rankings = replica.rankings(
            replica.engine(release),
            queries,
            progress=lambda done, total: self.progress.work(f"scoring {name}", done, total),
        )
        return score(judgments_for([query.id for query in queries], judgments), rankings)

    def clusters(self, queries: Sequence[Query]) -> NDArray[np.int64]:
        if not queries:
            raise InputError(
                "no query is left on one side of the split",
                cure="bring more different questions with judgments",
            )
        vectors = np.stack([self.replica.encoder.encode_query(query.text) for query in queries])
        return query_clusters(vectors, self.seed)


@dataclass(frozen=True, slots=True)
class Part:
    """Queries to learn from, those that the gate reads, and those that are reported.

    ``learning`` is where the first two are asked, with their ``judgments``.
    """

    fit: Sequence[Query]
    gate: Sequence[Query]
    report: Sequence[Query]
    learning: Replica
    judgments: Judgments


def judged(
    bench: Bench, splits: Mapping[str, Judgments], test_queries: int, training_queries: int
) -> tuple[list[Part], str]:
    """The parts that the collection's splits allow, and the protocol in words.

    ``InputError`` where a part would hold nothing that says anything.
    """
    by_id = {query.id: query for query in bench.queries}
    train, test = splits.get("train"), splits.get("test")
    if train and test:
        report = _answerable(by_id, test)
        fit = [by_id[q] for q in train if q in by_id and q not in test]
        if not fit:
            raise InputError(
                "every query of the train split is in the test split too",
                cure="keep them apart, or bring one split",
            )
        near = int(near_duplicates([q.text for q in fit], [q.text for q in report]).sum())
        return (
            [_cut(bench, fit, report)],
            f"gate on {DEV_SHARE:.0%} of train by query cluster; test read for the report alone; "
            f"{near} of {len(fit)} train queries say nearly what a test query says",
        )
    asked = list(bench.queries)
    clusters = bench.clusters(asked)
    rng = np.random.default_rng(bench.seed)
    if len(asked) >= CUT_ONCE_FROM:
        shares = [float(training_queries), float(test_queries)]
        rest = max(0.0, len(asked) - sum(shares))
        part = split_by_cluster(clusters, [*shares, rest], rng)
        return (
            [_cut(bench, _where(asked, part, 0), _where(asked, part, 1))],
            f"cut once by query cluster; gate on {DEV_SHARE:.0%} of train; test read for the "
            "report alone",
        )
    folds = split_by_cluster(clusters, [1.0] * FOLDS, rng)
    parts = []
    for fold in range(FOLDS):
        inside = [query for query, f in zip(asked, folds, strict=True) if f != fold]
        outside = _where(asked, folds, fold)
        parts.append(Part(inside, outside, outside, bench.replica, bench.judgments))
    return parts, (
        f"{FOLDS}-fold by query cluster; tuned rows are out of fold; the gate reads the reported "
        "queries, so that a promoted row was chosen on them"
    )


def _answerable(by_id: Mapping[str, Query], test: Judgments) -> list[Query]:
    """The queries of the test split to which that split itself knows a relevant document."""
    found = [by_id[q] for q in test if q in by_id and any(g > 0 for g in test[q].values())]
    if len(found) < LEAST_REPORTED:
        raise InputError(
            f"the test split has {len(found)} queries with a relevant document",
            cure=f"bring at least {LEAST_REPORTED}: fewer say nothing",
        )
    return found


def _cut(bench: Bench, train: Sequence[Query], test: Sequence[Query]) -> Part:
    part = split_by_cluster(
        bench.clusters(train), [1 - DEV_SHARE, DEV_SHARE], np.random.default_rng(bench.seed)
    )
    return Part(
        _where(train, part, 0), _where(train, part, 1), test, bench.replica, bench.judgments
    )


def label_free(bench: Bench, splits: Mapping[str, Judgments]) -> tuple[list[Part], str]:
    """Queries made from documents to learn from and for the gate; judged ones for the report
    alone, or where there are none, those of the gate once more.

    ``InputError`` where the documents do not give enough of them.
    """
    test = splits.get("test") if splits.get("train") else None
    by_id = {query.id: query for query in bench.queries}
    report = list(bench.queries) if test is None or not by_id else _answerable(by_id, test)
    made = generate_queries(
        bench.replica.index.documents, bench.generated, np.random.default_rng(bench.seed)
    )
    known = [Query(f"generated-{number}", one.query) for number, one in enumerate(made)]
    judgments = {q.id: {one.document_id: 1} for q, one in zip(known, made, strict=True)}
    if len(known) < LEAST_MADE:
        raise InputError(
            f"only {len(known)} queries could be made from the documents",
            cure=f"bring documents with sentences enough for {LEAST_MADE}",
        )
    bench.progress.note(f"{len(known)} queries made from documents")
    replica = bench.replica_of(masked(bench.replica.index.documents, made))
    part = split_by_cluster(
        bench.clusters(known), [1 - DEV_SHARE, DEV_SHARE], np.random.default_rng(bench.seed)
    )
    gate = _where(known, part, 1)
    return (
        [Part(_where(known, part, 0), gate, report or gate, replica, judgments)],
        f"no judgment is learnt from or gated on: {len(known)} queries made from documents whose "
        f"source spans are taken out, {DEV_SHARE:.0%} of them by query cluster for the gate, a "
        + (
            "proxy; judgments are read for the report alone"
            if report
            else "proxy; nothing is judged, so the report is of the gate's made queries: it says "
            "which system finds sources, not what users would find relevant"
        ),
    )


def _where(queries: Sequence[Query], part: NDArray[np.int64], number: int) -> list[Query]:
    return [query for query, p in zip(queries, part, strict=True) if p == number]

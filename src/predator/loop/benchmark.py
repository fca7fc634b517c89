"""What the learning part gains on a collection, without users: one table, one honest protocol.

With a train and a test split: the portfolio is trained on a part of train, the gate decides on a
dev part cut from train by query cluster, and test is read once, for the report. Without: K-fold
by query cluster, every tuned row scored out of fold, the same queries in every row; a collection
with very many judged queries is cut once instead, by query cluster, into train and test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Judgments, Query
from predator.domain.errors import InputError
from predator.domain.release import Release, RetrievalParameters
from predator.domain.verdicts import Verdict
from predator.learning.examples import collect
from predator.learning.measures import Scores, score
from predator.learning.splits import query_clusters, split_by_cluster
from predator.loop.evaluate import Evaluation, Gates, Measured, evaluate
from predator.loop.observe import judgments_for
from predator.loop.profile import profile
from predator.loop.replica import Replica, keep_release
from predator.loop.train import Portfolio, train_portfolio
from predator.ports.progress import Progress
from predator.statistics.paired import paired_gain

FOLDS = 5
DEV_SHARE = 0.3
CUT_ONCE_FROM = 3000
"""Judged queries from which one cut is as good as folds and costs a fifth."""
PLAIN: Mapping[str, RetrievalParameters] = {
    "bm25": RetrievalParameters(fusion="bm25"),
    "dense": RetrievalParameters(fusion="dense"),
    "rrf": RetrievalParameters(fusion="rrf"),
    "zsum": RetrievalParameters(fusion="zsum"),
}
LIVE = "rrf"


@dataclass(frozen=True, slots=True)
class Bench:
    """What a benchmark runs over; ``base`` carries encoder, schema and rules of the releases."""

    replica: Replica
    base: Release
    queries: Sequence[Query]
    judgments: Judgments
    gates: Gates
    cpu_hour_usd: float
    seed: int
    threads: int
    progress: Progress

    def release(self, retrieval: RetrievalParameters, reranker: bytes | None = None) -> Release:
        release = Release(
            self.base.encoder,
            self.base.schema,
            self.base.rules,
            retrieval,
            self.replica.objects.put(reranker) if reranker is not None else None,
        )
        keep_release(self.replica.objects, release)
        return release

    def scores(self, name: str, release: Release, queries: Sequence[Query]) -> Scores:
        rankings = self.replica.rankings(
            self.replica.engine(release),
            queries,
            progress=lambda done, total: self.progress.work(f"scoring {name}", done, total),
        )
        return score(judgments_for([query.id for query in queries], self.judgments), rankings)

    def portfolio(self, queries: Sequence[Query]) -> Portfolio:
        examples = collect(
            self.replica.index,
            self.replica.encoder,
            queries,
            self.judgments,
            progress=lambda done, total: self.progress.work("features", done, total),
        )
        return train_portfolio(
            self.replica.index,
            examples,
            self.judgments,
            self.clusters(queries),
            self.seed,
            threads=self.threads,
            progress=self.progress.note,
        )

    def clusters(self, queries: Sequence[Query]) -> NDArray[np.int64]:
        if not queries:
            raise InputError(
                "no query is left on one side of the split",
                cure="bring more different questions with judgments",
            )
        vectors = np.stack([self.replica.encoder.encode_query(query.text) for query in queries])
        return query_clusters(vectors, self.seed)


@dataclass(frozen=True, slots=True)
class Table:
    """Scores of every system on the same reported queries, and the gate's verdict."""

    systems: Mapping[str, Scores]
    evaluation: Evaluation
    chosen: str
    protocol: str

    def to_json(self) -> dict[str, Any]:
        return {
            "systems": {name: _row(scores) for name, scores in self.systems.items()},
            "over_best_plain": _over_best_plain(self.systems),
            "verdict": str(self.evaluation.verdict),
            "reason": self.evaluation.reason,
            "chosen": self.chosen,
            "protocol": self.protocol,
            "evaluation": self.evaluation.to_json(),
        }


def relevance_table(
    bench: Bench, splits: Mapping[str, Judgments], test_queries: int, training_queries: int
) -> Table:
    """Run the protocol that the collection's splits allow."""
    by_id = {query.id: query for query in bench.queries}
    train, test = splits.get("train"), splits.get("test")
    if train and test:
        return _with_test(
            bench,
            [by_id[q] for q in train if q in by_id and q not in test],
            [by_id[q] for q in test if q in by_id],
            f"gate on {DEV_SHARE:.0%} of train by query cluster; test read once",
        )
    judged = list(bench.queries)
    clusters = bench.clusters(judged)
    rng = np.random.default_rng(bench.seed)
    if len(judged) >= CUT_ONCE_FROM:
        shares = [float(training_queries), float(test_queries)]
        rest = max(0.0, len(judged) - sum(shares))
        part = split_by_cluster(clusters, [*shares, rest], rng)
        return _with_test(
            bench,
            [query for query, p in zip(judged, part, strict=True) if p == 0],
            [query for query, p in zip(judged, part, strict=True) if p == 1],
            f"cut once by query cluster; gate on {DEV_SHARE:.0%} of train; test read once",
        )
    return _folded(bench, judged, split_by_cluster(clusters, [1.0] * FOLDS, rng))


def _with_test(bench: Bench, train: Sequence[Query], test: Sequence[Query], protocol: str) -> Table:
    part = split_by_cluster(
        bench.clusters(train), [1 - DEV_SHARE, DEV_SHARE], np.random.default_rng(bench.seed)
    )
    fit = [query for query, p in zip(train, part, strict=True) if p == 0]
    dev = [query for query, p in zip(train, part, strict=True) if p == 1]
    found = bench.portfolio(fit)
    releases = {t.name: bench.release(t.retrieval, t.reranker) for t in found.candidates}
    live, best = bench.release(PLAIN[LIVE]), releases[found.best.name]
    evaluation = _judge(
        bench,
        bench.scores("dev, candidate", best, dev),
        bench.scores("dev, live", live, dev),
        dev,
        (live, best),
    )
    systems = {name: bench.scores(name, bench.release(how), test) for name, how in PLAIN.items()}
    systems |= {name: bench.scores(name, releases[name], test) for name in sorted(releases)}
    chosen = found.best.name if evaluation.verdict is Verdict.PASS else LIVE
    systems["promoted"] = systems[chosen]
    return Table(systems, evaluation, chosen, protocol)


def _folded(bench: Bench, judged: Sequence[Query], folds: NDArray[np.int64]) -> Table:
    live = bench.release(PLAIN[LIVE])
    systems = {name: bench.scores(name, bench.release(how), judged) for name, how in PLAIN.items()}
    parts: dict[str, list[Scores]] = {}
    last = live
    for fold in range(FOLDS):
        bench.progress.note(f"fold {fold + 1} of {FOLDS}")
        inside = [query for query, f in zip(judged, folds, strict=True) if f != fold]
        outside = [query for query, f in zip(judged, folds, strict=True) if f == fold]
        found = bench.portfolio(inside)
        for trained in found.candidates:
            release = bench.release(trained.retrieval, trained.reranker)
            scored = bench.scores(trained.name, release, outside)
            parts.setdefault(trained.name, []).append(scored)
            if trained is found.best:
                parts.setdefault("best", []).append(scored)
                last = release
    names = [query.id for query in judged]
    folded = {name: _joined(scores).pick(names) for name, scores in parts.items()}
    best = folded.pop("best")
    evaluation = _judge(bench, best, systems[LIVE], judged, (live, last))
    systems |= {name: folded[name] for name in sorted(folded)}
    systems["promoted"] = best if evaluation.verdict is Verdict.PASS else systems[LIVE]
    chosen = "the best of each fold" if evaluation.verdict is Verdict.PASS else LIVE
    protocol = f"{FOLDS}-fold by query cluster; tuned rows and the gate are out of fold"
    return Table(systems, evaluation, chosen, protocol)


def _judge(
    bench: Bench,
    candidate: Scores,
    live: Scores,
    queries: Sequence[Query],
    releases: tuple[Release, Release],
) -> Evaluation:
    before, after = (bench.replica.engine(release) for release in releases)
    measured = profile(before, after, queries)
    cost = measured.candidate_cpu_s * 1000 / 3600 * bench.cpu_hour_usd if measured else None
    return evaluate(
        candidate.ndcg,
        live.ndcg,
        ["all"] * len(queries),
        Measured(
            measured.baseline_p95_ms if measured else None,
            measured.candidate_p95_ms if measured else None,
            cost,
        ),
        bench.gates,
    )


def _joined(parts: Sequence[Scores]) -> Scores:
    queries = tuple(query for part in parts for query in part.queries)
    names = parts[0].values
    return Scores(queries, {n: np.concatenate([p.values[n] for p in parts]) for n in names})


def _over_best_plain(systems: Mapping[str, Scores]) -> dict[str, Any]:
    """The paired gain of the promoted release over the best row that learns nothing."""
    best = max(PLAIN, key=lambda name: systems[name].mean())
    try:
        gain = paired_gain(systems["promoted"].ndcg, systems[best].ndcg)
    except ValueError as error:
        return {"system": best, "rel": None, "ci_low": None, "ci_high": None, "why": str(error)}
    return {
        "system": best,
        "rel": gain.delta_rel,
        "ci_low": gain.ci_low,
        "ci_high": gain.ci_high,
    }


def _row(scores: Scores) -> dict[str, Any]:
    half = 1.96 * float(scores.ndcg.std(ddof=1)) / len(scores.ndcg) ** 0.5
    mean = scores.mean()
    return {
        "ndcg_at_10": round(mean, 4),
        "recall_at_20": round(scores.mean("R@20"), 4),
        "precision_at_10": round(scores.mean("P@10"), 4),
        "ci": [round(mean - half, 4), round(mean + half, 4)],
        "queries": len(scores.queries),
    }

"""The stations' work between their deciders: gather, call, write down. ``cycle`` walks them."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from predator.domain.documents import Document, Query
from predator.domain.readings import Value
from predator.domain.release import Release
from predator.learning.examples import Example, collect
from predator.learning.measures import Scores, score
from predator.learning.splits import query_clusters
from predator.loop import augment, dataset_stage, diagnose
from predator.loop.evaluate import Evaluation, Gates, Measured, evaluate
from predator.loop.labels import Labels
from predator.loop.monitor import Signal
from predator.loop.observe import (
    document_frequency,
    judged_searches,
    judgments_for,
    new_terms,
    p95_latency_ms,
    surface_words,
    term_counts,
)
from predator.loop.profile import profile
from predator.loop.replica import Replica
from predator.loop.ring import Record, Ring, timestamp
from predator.loop.train import Portfolio, train_portfolio
from predator.ports.datasets import DatasetVersion
from predator.search.engine import Engine
from predator.statistics.divergence import shift

SHIFT_ROUNDS = 30


@dataclass(frozen=True, slots=True)
class Situation:
    """What the monitor hands over: the signal if one fired, and the spans of time it compared.

    ``baseline_since``/``baseline_until`` frame the healthy traffic, ``since``/``until`` the window
    that is diagnosed (unix seconds).
    """

    signal: Signal | None
    baseline: Value
    baseline_since: float
    baseline_until: float
    since: float
    until: float

    @property
    def trigger(self) -> dict[str, Any]:
        if self.signal is None:
            return {"type": "scheduled", "value": None, "baseline": self.baseline.value}
        return {
            "type": self.signal.trigger,
            "value": round(self.signal.value, 4),
            "baseline": round(self.signal.baseline, 4),
        }


def gather(ring: Ring, situation: Situation, labels: Labels, replica: Replica) -> diagnose.Evidence:
    """All that the diagnosis looks at."""
    window = ring.feedback.impressions(situation.since, situation.until)
    healthy = ring.feedback.impressions(situation.baseline_since, situation.baseline_until)
    arrivals = ring.corpus.arrivals()
    documents = ring.corpus.documents()
    # A document that came between the two looks above is new.
    old = [d for d in documents if arrivals.get(d.id, math.inf) < situation.baseline_until]
    rng = np.random.default_rng(ring.options.seed)
    terms_before, terms_now = document_frequency(old), document_frequency(documents)
    asked_before = term_counts(i.query for i in healthy)
    asked_now = term_counts(i.query for i in window)
    engine = replica.engine(ring.desired.read().release.digest)
    known = sum(count for term, count in asked_now.items() if term in asked_before)
    searches = judged_searches(
        window, labels, engine, arrivals, situation.baseline_until, frozenset(asked_before)
    )
    return diagnose.Evidence(
        situation.signal,
        1.0 - situation.baseline.value,
        searches,
        shift(terms_before, terms_now, rng, SHIFT_ROUNDS),
        shift(asked_before, asked_now, rng, SHIFT_ROUNDS),
        new_terms(terms_before, terms_now),
        round(known / max(1, sum(asked_now.values())), 4),
        _categories(old),
        _categories(documents),
        ring.feedback.log_counts(situation.since, situation.until),
        ring.feedback.backlog_s(situation.until),
        p95_latency_ms(window),
        _contributions(engine, [i.query for i in window][-50:]),
        surface_words([*(i.query for i in window), *(d.text[:500] for d in documents)]),
    )


def build_dataset(
    record: Record,
    diagnosis: diagnose.Diagnosis,
    labels: Labels,
    documents: Sequence[Document],
) -> DatasetVersion:
    """Choose sources, run the DVC stage, and leave its lock, copy and manifest with the cycle."""
    ring = record.ring
    wanted = list(diagnosis.low_coverage_terms)
    chosen = augment.sources(
        documents, wanted, ring.options.generated_queries, diagnosis.affected_categories
    )
    text_of = {query.id: query.text for query in labels.training}
    judged = [
        (query, text_of[query], document, grade)
        for query in text_of
        for document, grade in labels.judgments[query].items()
    ]
    frequency = document_frequency(chosen)
    version = ring.datasets.build(
        record.cycle_id,
        dataset_stage.inputs(
            chosen,
            judged,
            [augment.fingerprint(query.text) for query in labels.gold],
            {term: count for term, count in frequency.items() if count > 1},
            ring.options.generated_queries,
            ring.options.seed,
        ),
    )
    data = ring.datasets.fetch(version)
    rows = dataset_stage.read_rows(data)
    record.write("augmented_dataset.csv", data)
    record.write("dvc.lock", version.lock_file.read_bytes())
    record.write("dataset_manifest.yaml", _manifest(record, version, rows, chosen, wanted))
    ring.tracking.dataset(
        record.run_id, "augmented_dataset", version.hash, str(version.path), len(rows)
    )
    return version


def train(record: Record, version: DatasetVersion, replica: Replica) -> Portfolio:
    """Train the portfolio on what the dataset holds, in its own order."""
    ring = record.ring
    rows = dataset_stage.read_rows(ring.datasets.fetch(version))
    queries: dict[str, Query] = {}
    judgments: dict[str, dict[str, int]] = {}
    made: set[str] = set()
    for query_id, text, document, grade, source in rows:
        queries[query_id] = Query(query_id, text)
        judgments.setdefault(query_id, {})[document] = grade
        if source != "judgment":
            made.add(query_id)

    def examples(wanted: Sequence[Query]) -> list[Example]:
        return collect(
            replica.index,
            replica.encoder,
            wanted,
            judgments,
            progress=lambda done, total: ring.progress.work("candidates and features", done, total),
        )

    judged = examples([query for query in queries.values() if query.id not in made])
    generated = examples([query for query in queries.values() if query.id in made])
    vectors = np.stack([replica.encoder.encode_query(e.query.text) for e in judged])
    return train_portfolio(
        replica.index,
        judged,
        judgments,
        query_clusters(vectors, ring.options.seed),
        ring.options.seed,
        generated=[e for e in generated if round_trip(e)],
        progress=ring.progress.note,
    )


def round_trip(example: Example, depth: int = 50) -> bool:
    """Whether a generated query finds its source among the first ``depth`` candidates."""
    grades = example.grades_of(example.found.take(depth))
    return bool(len(grades) and grades.max() > 0)


def judge_offline(
    record: Record, replica: Replica, live: Release, candidate: Release, labels: Labels
) -> tuple[Evaluation, Scores, Scores]:
    """The paired scores on the Gold queries, the guardrails, and the verdict."""
    options, progress = record.ring.options, record.ring.progress
    baseline_engine, candidate_engine = replica.engine(live), replica.engine(candidate)
    judgments = judgments_for([query.id for query in labels.gold], labels.judgments)

    def scored(engine_name: str, release: Release) -> Scores:
        return score(
            judgments,
            replica.rankings(
                replica.engine(release),
                labels.gold,
                progress=lambda done, total: progress.work(
                    f"Gold queries, {engine_name}", done, total
                ),
            ),
        )

    before, after = scored("baseline", live), scored("candidate", candidate)
    measured = profile(baseline_engine, candidate_engine, labels.gold)
    evaluation = evaluate(
        after.ndcg,
        before.ndcg,
        _query_categories(labels.gold, labels, replica),
        Measured(
            measured.baseline_p95_ms if measured else None,
            measured.candidate_p95_ms if measured else None,
            measured.candidate_cpu_s * 1000 / 3600 * options.cpu_hour_usd if measured else None,
        ),
        Gates(
            options.ndcg_delta_rel_min,
            options.category_delta_rel_min,
            options.latency_delta_rel_max,
            options.latency_floor_ms,
            options.cost_per_1k_usd_max,
            options.alpha,
            options.power,
        ),
    )
    return evaluation, before, after


def keep_model(record: Record, candidate: Release, portfolio: Portfolio) -> Path:
    """The folder ``mlflow_run_<id>`` with the model and its measures."""
    folder = f"mlflow_run_{record.run_id}"
    objects = record.ring.objects
    record.write(f"{folder}/model/release.json", candidate.to_json())
    if candidate.reranker is not None:
        record.write(f"{folder}/model/reranker.json", objects.get(candidate.reranker))
    record.write(
        f"{folder}/model/portfolio.json",
        [
            {"name": t.name, "ndcg_at_10_out_of_fold": t.scores.mean(), **t.details}
            for t in portfolio.candidates
        ],
    )
    return record.folder / folder / "model"


def _manifest(
    record: Record,
    version: DatasetVersion,
    rows: Sequence[tuple[str, str, str, int, str]],
    chosen: Sequence[Document],
    wanted: Sequence[str],
) -> str:
    made = [row for row in rows if row[4] != "judgment"]
    lengths = [len(row[1]) for row in made]
    manifest: Mapping[str, Any] = {
        "dataset_id": record.cycle_id.replace("si_", "aug_"),
        "cycle_id": record.cycle_id,
        "created_at": timestamp(record.ring.clock.now()),
        "source": {
            "type": "auto_augmentation",
            "trigger": record.trigger["type"],
            "base_documents": len(chosen),
        },
        "method": "query_generation",
        "methods": {m: sum(row[4] == m for row in made) for m in augment.METHODS},
        "target_tokens": list(wanted),
        "statistics": {
            "total_examples": len(made),
            "judged_rows": len(rows) - len(made),
            "avg_length": round(float(np.mean(lengths)), 1) if lengths else 0.0,
            "diversity_score": round(augment.diversity([row[1] for row in made]), 4),
        },
        "dvc": {"path": f"datasets/{record.cycle_id}/{version.path.name}", "hash": version.hash,
                "revision": version.revision},
        "mlflow": {"run_id": record.run_id},
    }  # fmt: skip
    buffer = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(manifest, buffer)
    return buffer.getvalue()


def _categories(documents: Sequence[Document]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for document in documents:
        counts[document.category] = counts.get(document.category, 0) + 1
    return counts


def _query_categories(queries: Sequence[Query], labels: Labels, replica: Replica) -> list[str]:
    """The category of each query's best judged document."""
    found = []
    for query in queries:
        grades = labels.judgments[query.id]
        best = max(grades, key=lambda d: (grades[d], d))
        row = replica.index.row_of(best)
        found.append(replica.index.documents[row].category if row is not None else "unknown")
    return found


def _contributions(engine: Engine, queries: Sequence[str]) -> dict[str, float]:
    """Mean absolute TreeSHAP value of each feature over recent queries; empty without a model."""
    shares = engine.explain(list(queries))
    return {name: round(value, 4) for name, value in shares.items()}

"""One turn of the ring, top to bottom: diagnose → augment → train → evaluate → experiment →
promote → watch → (roll back). Every effect is allowed by policy and recorded by ``Record``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from predator.domain.documents import Document
from predator.domain.release import Release
from predator.domain.verdicts import Verdict
from predator.learning.measures import Scores
from predator.loop import diagnose, stations
from predator.loop.evaluate import Evaluation
from predator.loop.go_live import Lived, go_live
from predator.loop.labels import Labels
from predator.loop.replica import Replica, keep_release
from predator.loop.ring import Record, Ring, timestamp
from predator.loop.rollback import withdraw
from predator.loop.stations import Situation
from predator.search.desired import LiveRelease
from predator.search.serving.agent import load_release


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn of the ring came to, for people and for ``--json``."""

    cycle_id: str
    trigger: str
    cause: str
    verdict: Verdict
    reason: str
    promoted: bool
    release_before: LiveRelease
    release_after: LiveRelease
    evaluation: dict[str, Any]
    experiment: dict[str, Any] | None
    watch: list[dict[str, Any]]
    rolled_back: bool
    portfolio: list[dict[str, Any]]
    cost_usd: float
    artifacts: str


def turn(ring: Ring, cycle_id: str, situation: Situation, labels: Labels) -> Outcome:
    """Walk the ring once.

    Raises what a station raises, after taking back what the users got and closing the record.
    """
    record = Record(ring, cycle_id, situation.trigger)
    try:
        return _turn(record, situation, labels)
    except BaseException as error:
        try:
            withdraw(record)
        finally:
            record.abandon("interrupted" if isinstance(error, KeyboardInterrupt) else "error")
        raise


def _turn(record: Record, situation: Situation, labels: Labels) -> Outcome:
    ring, say = record.ring, record.ring.progress
    before = ring.desired.read().release
    live = load_release(ring.objects.get(before.digest))
    documents = ring.corpus.documents()
    replica = Replica.of(documents, ring.encoder, ring.encode_all, ring.objects)

    say.station("diagnose", situation.trigger["type"])
    diagnosis = record.act(
        "diagnostic",
        "diagnose",
        lambda: _diagnose(record, situation, labels, replica),
        lambda found: {"outputs": ["diagnostic_report.json"], "cause": found.cause},
    )
    say.note(f"cause: {diagnosis.cause} · {diagnosis.causes[0].evidence}")
    say.note(f"affected: {', '.join(diagnosis.affected_categories) or 'no category in particular'}")

    say.station("augment")
    dataset = record.act(
        "augment_data",
        "build_dataset",
        lambda: stations.build_dataset(
            record, diagnosis, labels, _arrived(documents, situation, ring)
        ),
        lambda made: {"artifacts": ["augmented_dataset.csv"], "dvc_hash": made.hash},
    )

    say.station("train", "fusion weights, LambdaMART")
    portfolio = record.act(
        "train_model",
        "train",
        lambda: stations.train(record, dataset, replica),
        lambda found: {"mlflow_run": record.run_id, "best": found.best.name},
    )
    candidate = _release(ring, live, portfolio.best.retrieval, portfolio.best.reranker)
    model = stations.keep_model(record, candidate, portfolio)

    say.station("evaluate", f"{len(labels.gold)} Gold queries")
    evaluation, scores_before, scores_after = record.act(
        "evaluate",
        "evaluate",
        lambda: stations.judge_offline(record, replica, live, candidate, labels),
        lambda found: {"verdict": str(found[0].verdict), "outputs": ["evaluation.json"]},
    )
    evaluated = {
        "cycle_id": record.cycle_id,
        "release": candidate.digest,
        **evaluation.to_json(),
        "recall_at_20": {
            "baseline": scores_before.mean("R@20"),
            "candidate": scores_after.mean("R@20"),
        },
        "precision_at_10": {
            "baseline": scores_before.mean("P@10"),
            "candidate": scores_after.mean("P@10"),
        },
    }
    record.write("evaluation.json", evaluated)
    _keep_metrics(record, scores_after, evaluation)
    say.note(f"{evaluation.verdict}: {evaluation.reason}")
    reference = record.act(
        "register_model",
        "register_model",
        lambda: ring.tracking.register(
            record.run_id, "predator-release", model, {"release": candidate.digest}
        ),
        lambda name: {"model_registry_ref": name},
    )
    record.write("model_registry_ref", reference + "\n")

    lived = Lived(before)
    if evaluation.verdict is Verdict.PASS and evaluation.gain is not None:
        lived = go_live(record, before, candidate, evaluation.gain, evaluated, reference)
    verdict, reason = evaluation.verdict, evaluation.reason
    if lived.result is not None:
        verdict, reason = lived.result.verdict, lived.result.reason
    if lived.rolled_back:
        verdict, reason = Verdict.FAIL, f"rolled back: {lived.looks[-1]['reason']}"
    say.station("verdict", f"{verdict}: {reason}")
    record.write("watch.json", lived.looks)
    outcome = (
        "success" if verdict in (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE) else "error"
    )
    record.close("rolled_back" if lived.rolled_back else outcome, rollback_available=True)
    return Outcome(
        record.cycle_id, situation.trigger["type"], diagnosis.cause, verdict, reason,
        lived.promoted, before, lived.release, evaluated, lived.experiment, lived.looks,
        lived.rolled_back,
        [{"name": t.name, "ndcg_at_10_out_of_fold": t.scores.mean()} for t in portfolio.candidates],
        record.cost_usd, str(record.folder),
    )  # fmt: skip


def _diagnose(
    record: Record, situation: Situation, labels: Labels, replica: Replica
) -> diagnose.Diagnosis:
    ring = record.ring
    evidence = stations.gather(ring, situation, labels, replica)
    found = diagnose.diagnose(evidence)
    record.write(
        "diagnostic_report.json",
        diagnose.report(
            found,
            evidence,
            record.cycle_id,
            timestamp(ring.clock.now()),
            ring.options.generated_queries,
        ),
    )
    return found


def _arrived(documents: Any, situation: Situation, ring: Ring) -> list[Document]:
    """The documents that came since the baseline; all of them where none did."""
    arrivals = ring.corpus.arrivals()
    fresh = [d for d in documents if arrivals[d.id] >= situation.baseline_until]
    return fresh or list(documents)


def _release(ring: Ring, live: Release, retrieval: Any, reranker: bytes | None) -> Release:
    candidate = replace(
        live,
        retrieval=retrieval,
        reranker=ring.objects.put(reranker) if reranker is not None else None,
    )
    keep_release(ring.objects, candidate)
    return candidate


def _keep_metrics(record: Record, scores: Scores, evaluation: Evaluation) -> None:
    values = {
        "ndcg_at_10": scores.mean(),
        "recall_at_20": scores.mean("R@20"),
        "precision_at_10": scores.mean("P@10"),
        "mrr_at_10": scores.mean("RR@10"),
    }
    for guardrail in evaluation.guardrails:
        if guardrail.value is not None:
            values[guardrail.name] = guardrail.value
    if evaluation.gain is not None:
        values["ndcg_delta_rel"] = evaluation.gain.delta_rel
    record.ring.tracking.metrics(record.run_id, values)
    record.write(f"mlflow_run_{record.run_id}/metrics/metrics.json", values)

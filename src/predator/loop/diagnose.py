"""Station 2: where the loss comes from, and the most likely cause, from gathered evidence.

Leaves the spec's ``diagnostic_report.json`` (6A.3) with the evidence and a ranked list of causes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from predator.loop.monitor import Signal
from predator.statistics.divergence import Shift


@dataclass(frozen=True, slots=True)
class JudgedSearch:
    """One judged search of the window.

    ``loss`` is the NDCG@10 it lacks; ``stage`` says where the best relevant document was lost:
    ``none``, ``unindexed`` (or still without a vector), ``recall`` (not among the candidates)
    or ``ranking``. ``arrived`` tells whether its documents came after the baseline;
    ``new_terms`` are its terms that the baseline's queries did not hold.
    """

    category: str
    loss: float
    stage: str
    arrived: bool
    new_terms: Sequence[str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a diagnosis looks at; gathered by the flow, judged here."""

    signal: Signal | None
    searches: Sequence[JudgedSearch]
    corpus_shift: Shift
    query_shift: Shift
    new_terms: Sequence[str]
    term_coverage: float
    categories_before: Mapping[str, int]
    categories_now: Mapping[str, int]
    logs: Mapping[str, int]
    backlog_s: float
    latency_p95_ms: float
    feature_contributions: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cause:
    """A possible cause and the share of the measured loss that it would explain."""

    type: str
    share_of_loss: float
    evidence: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Causes, most likely first, and what training data should be about."""

    causes: Sequence[Cause]
    affected_categories: Sequence[str]
    low_coverage_terms: Mapping[str, float]
    loss_by_stage: Mapping[str, float]

    @property
    def cause(self) -> str:
        return self.causes[0].type


BACKLOG_LIMIT_S = 60
LATENCY_LIMIT_MS = 800


def diagnose(evidence: Evidence, terms_named: int = 12) -> Diagnosis:
    """Rank the causes by the share of the window's NDCG loss that each would explain."""
    total = sum(search.loss for search in evidence.searches) or 1.0

    def share(chosen: Sequence[JudgedSearch]) -> float:
        return sum(search.loss for search in chosen) / total

    arrived = [search for search in evidence.searches if search.arrived]
    novel = [search for search in evidence.searches if search.new_terms and not search.arrived]
    ranking = [s for s in evidence.searches if s.stage == "ranking" and not s.arrived]
    recall = [s for s in evidence.searches if s.stage == "recall" and not s.arrived]
    unindexed = [search for search in evidence.searches if search.stage == "unindexed"]
    stages = {
        stage: round(share([s for s in evidence.searches if s.stage == stage]), 4)
        for stage in ("unindexed", "recall", "ranking")
    }
    causes = [
        Cause(
            "corpus_shift",
            share(arrived) if evidence.corpus_shift.significant else 0.0,
            f"documents' terms moved by {evidence.corpus_shift.js:.3f} (Jensen-Shannon; noise "
            f"{evidence.corpus_shift.noise_p95:.3f}); {share(arrived):.0%} of the loss is about "
            f"documents that came since",
        ),
        Cause(
            "query_shift",
            share(novel) if evidence.query_shift.significant else 0.0,
            f"queries' terms moved by {evidence.query_shift.js:.3f} (noise "
            f"{evidence.query_shift.noise_p95:.3f}); {share(novel):.0%} of the loss is in "
            f"queries with unseen terms about known documents",
        ),
        Cause(
            "stale_index",
            share(unindexed) if evidence.backlog_s > BACKLOG_LIMIT_S else 0.0,
            f"ETL backlog {evidence.backlog_s:.0f} s (limit {BACKLOG_LIMIT_S} s); "
            f"{share(unindexed):.0%} of the loss is about documents not fully indexed",
        ),
        Cause("recall_loss", 0.5 * share(recall),
              f"{share(recall):.0%} of the loss: known documents not among the candidates"),
        Cause("ranking_loss", 0.5 * share(ranking),
              f"{share(ranking):.0%} of the loss: known documents found but ranked low"),
        Cause("slow_stage", 1.0 if evidence.latency_p95_ms > LATENCY_LIMIT_MS else 0.0,
              f"p95 latency {evidence.latency_p95_ms:.0f} ms (limit {LATENCY_LIMIT_MS} ms)"),
    ]  # fmt: skip
    causes.sort(key=lambda cause: -cause.share_of_loss)
    return Diagnosis(
        causes, _affected(evidence), _low_coverage(evidence, total, terms_named), stages
    )


def report(
    diagnosis: Diagnosis, evidence: Evidence, cycle_id: str, timestamp: str, examples: int
) -> dict[str, Any]:
    """The spec's ``diagnostic_report.json`` plus evidence. ``examples``: how many to generate."""
    signal = evidence.signal
    return {
        "cycle_id": cycle_id,
        "timestamp": timestamp,
        "trigger": signal.trigger if signal else "scheduled",
        "current_value": signal.value if signal else None,
        "baseline": signal.baseline if signal else None,
        "delta": signal.delta if signal else None,
        "root_cause_analysis": {
            "type": diagnosis.cause,
            "affected_categories": list(diagnosis.affected_categories),
            "distribution_change": {
                "new_tokens": list(evidence.new_terms),
                "coverage": evidence.term_coverage,
                "corpus_jensen_shannon": evidence.corpus_shift.js,
                "query_jensen_shannon": evidence.query_shift.js,
            },
        },
        "xai_insights": {
            "low_coverage_tokens": list(diagnosis.low_coverage_terms),
            "importance_scores": dict(diagnosis.low_coverage_terms),
            "feature_contributions": dict(evidence.feature_contributions),
            "suggested_action": "augment_dataset_with_new_tokens",
        },
        "recommended_actions": [
            {
                "type": "data_augmentation",
                "method": "query_generation",
                "target_tokens": list(diagnosis.low_coverage_terms),
                "estimated_examples": examples,
            },
            {"type": "model_retraining", "target": "reranker"},
        ],
        "causes": [
            {
                "type": cause.type,
                "share_of_loss": round(cause.share_of_loss, 4),
                "evidence": cause.evidence,
            }
            for cause in diagnosis.causes
        ],
        "loss_by_stage": dict(diagnosis.loss_by_stage),
        "judged_searches": len(evidence.searches),
        "logs": dict(evidence.logs),
        "etl_backlog_s": evidence.backlog_s,
        "latency_p95_ms": evidence.latency_p95_ms,
    }


def _affected(evidence: Evidence, most: int = 5) -> list[str]:
    """Categories that grew since the baseline or that carry more loss than their traffic."""
    loss: Counter[str] = Counter()
    traffic: Counter[str] = Counter()
    for search in evidence.searches:
        loss[search.category] += search.loss  # type: ignore[assignment]
        traffic[search.category] += 1
    total_loss, total = sum(loss.values()) or 1.0, sum(traffic.values()) or 1
    grown = {
        name: (count - evidence.categories_before.get(name, 0)) / count
        for name, count in evidence.categories_now.items()
        if count > evidence.categories_before.get(name, 0)
    }
    weight = {
        name: loss[name] / total_loss * (1 + grown.get(name, 0.0))
        for name in loss
        if grown.get(name, 0.0) > 0.1 or loss[name] / total_loss > 1.25 * traffic[name] / total
    }
    ranked = sorted(weight, key=lambda name: (-weight[name], name))
    if not ranked:
        ranked = sorted(grown, key=lambda name: (-grown[name], name))
    return ranked[:most]


def _low_coverage(evidence: Evidence, total: float, most: int) -> dict[str, float]:
    """The unseen query terms with the share of the loss of the searches that hold them."""
    carried: Counter[str] = Counter()
    for search in evidence.searches:
        for term in set(search.new_terms):
            carried[term] += search.loss  # type: ignore[assignment]
    return {
        term: round(loss / total, 4)
        for term, loss in sorted(carried.items(), key=lambda item: (-item[1], item[0]))[:most]
    }

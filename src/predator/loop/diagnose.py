"""Station 2: where the loss comes from, and the most likely cause, from gathered evidence.

Leaves the spec's ``diagnostic_report.json`` (6A.3) with the evidence and a ranked list of causes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
    """All that a diagnosis looks at; gathered by the flow, judged here.

    ``baseline_loss`` is the mean NDCG@10 that healthy searches lacked. ``words`` gives a word as
    people write it for each term of the analyzer.
    """

    signal: Signal | None
    baseline_loss: float
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
    words: Mapping[str, str] = field(default_factory=dict)


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


GROWN = 0.1
"""Share of a category's documents that must be new for it to count as grown."""
BACKLOG_LIMIT_S = 60
LATENCY_LIMIT_MS = 800


def diagnose(evidence: Evidence, terms_named: int = 12) -> Diagnosis:
    """Rank the causes by the share of the *excess* loss that each would explain.

    Excess is what the window's searches lose beyond the baseline's mean loss: a weakness that was
    there before explains nothing of a drop. Without an excess (a scheduled cycle on healthy
    traffic) the shares are of the whole loss.
    """
    usual = evidence.baseline_loss
    excess = sum(search.loss - usual for search in evidence.searches)
    of = "of the excess loss" if excess > 0 else "of the loss (no drop was measured)"
    if excess <= 0:
        usual, excess = 0.0, sum(search.loss for search in evidence.searches)

    def explained(chosen: Sequence[JudgedSearch]) -> float:
        share = sum(search.loss - usual for search in chosen) / (excess or 1.0)
        return min(1.0, max(0.0, share))

    searches = evidence.searches
    lost = sum(search.loss for search in searches) or 1.0
    arrived = [search for search in searches if search.arrived]
    known = [search for search in searches if not search.arrived]
    novel = [search for search in known if search.new_terms]
    late = [search for search in searches if search.stage == "unindexed"]
    stages = {
        stage: round(sum(s.loss for s in searches if s.stage == stage) / lost, 4)
        for stage in ("unindexed", "recall", "ranking")
    }
    corpus, asked = evidence.corpus_shift, evidence.query_shift
    usual_asked = [s for s in known if not s.new_terms] if asked.significant else known
    stale = evidence.backlog_s > BACKLOG_LIMIT_S
    slow = evidence.latency_p95_ms > LATENCY_LIMIT_MS
    causes = [
        Cause(
            "stale_index",
            explained(late) if stale else 0.0,
            f"ETL backlog {evidence.backlog_s:.0f} s (limit {BACKLOG_LIMIT_S} s); "
            f"{explained(late):.0%} {of} is about documents not indexed in time",
        ),
        Cause(
            "corpus_shift",
            explained(arrived) if corpus.significant else 0.0,
            f"documents' terms moved by {corpus.js:.3f} (Jensen-Shannon; noise "
            f"{corpus.noise_p95:.3f}); {explained(arrived):.0%} {of} is about "
            f"documents that came since the baseline",
        ),
        Cause(
            "query_shift",
            explained(novel) if asked.significant else 0.0,
            f"queries' terms moved by {asked.js:.3f} (noise {asked.noise_p95:.3f}); "
            f"{explained(novel):.0%} {of} is in queries with unseen terms about "
            f"known documents",
        ),
        _known_loss("recall", "not among the candidates", usual_asked, explained),
        _known_loss("ranking", "found but ranked low", usual_asked, explained),
        Cause(
            "slow_stage",
            1.0 if slow else 0.0,
            f"p95 latency {evidence.latency_p95_ms:.0f} ms (limit {LATENCY_LIMIT_MS} ms)",
        ),
    ]
    causes.sort(key=lambda cause: -cause.share_of_loss)
    if causes[0].share_of_loss <= 0:
        causes.insert(0, Cause("unknown", 0.0, "no loss was measured that any cause would explain"))
    return Diagnosis(
        causes, _affected(evidence), _low_coverage(evidence, lost, terms_named), stages
    )


def _known_loss(
    stage: str,
    how: str,
    known: Sequence[JudgedSearch],
    explained: Callable[[Sequence[JudgedSearch]], float],
) -> Cause:
    """A loss at one stage with nothing new about it: what is left when no shift explains it."""
    chosen = [search for search in known if search.stage == stage]
    share = explained(chosen)
    return Cause(f"{stage}_loss", share, f"{share:.0%} of it: known documents {how}")


def report(
    diagnosis: Diagnosis, evidence: Evidence, cycle_id: str, timestamp: str, examples: int
) -> dict[str, Any]:
    """The spec's ``diagnostic_report.json`` plus evidence. ``examples``: how many to generate."""
    signal = evidence.signal

    def word(term: str) -> str:
        return evidence.words.get(term, term)

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
                "new_tokens": [word(term) for term in evidence.new_terms],
                "coverage": evidence.term_coverage,
                "corpus_jensen_shannon": evidence.corpus_shift.js,
                "query_jensen_shannon": evidence.query_shift.js,
            },
        },
        "xai_insights": {
            "low_coverage_tokens": [word(term) for term in diagnosis.low_coverage_terms],
            "importance_scores": {
                word(term): share for term, share in diagnosis.low_coverage_terms.items()
            },
            "feature_contributions": dict(evidence.feature_contributions),
            "suggested_action": "augment_dataset_with_new_tokens",
        },
        "recommended_actions": [
            {
                "type": "data_augmentation",
                "method": "query_generation",
                "target_tokens": [word(term) for term in diagnosis.low_coverage_terms],
                "estimated_examples": examples,
            },
            {
                "type": "model_retraining",
                "target": "reranker",
                "expected_improvement": _reach(diagnosis, evidence),
            },
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


def _reach(diagnosis: Diagnosis, evidence: Evidence) -> str:
    """How much NDCG@10 a perfect order of the same candidates would gain: no ranker gains more."""
    lost = sum(search.loss for search in evidence.searches)
    kept = len(evidence.searches) - lost
    if kept <= 0:
        return "unknown"
    return f"at most +{diagnosis.loss_by_stage['ranking'] * lost / kept:.0%}"


def _affected(evidence: Evidence, most: int = 5) -> list[str]:
    """Categories that grew since the baseline; else those with more loss than their traffic."""
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
    weight = {name: loss[name] for name in loss if grown.get(name, 0.0) > GROWN}
    if not weight:
        weight = {
            name: loss[name]
            for name in loss
            if loss[name] / total_loss > 1.25 * traffic[name] / total
        }
    ranked = sorted(weight or grown, key=lambda name: (-(weight or grown)[name], name))
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

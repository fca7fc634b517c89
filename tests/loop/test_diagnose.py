"""The right cause comes first, and the report says so in the spec's words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from predator.loop.diagnose import Evidence, JudgedSearch, diagnose, report
from predator.loop.monitor import Signal
from predator.statistics.divergence import Shift

MOVED, STILL = Shift(0.2, 0.05, True), Shift(0.03, 0.05, False)
SIGNAL = Signal("ndcg_at_10", "ndcg_drop", 0.45, 0.60, 3, 600)
USUAL = 0.4


def searches(
    count: int,
    loss: float,
    stage: str = "ranking",
    *,
    arrived: bool = False,
    terms: Sequence[str] = (),
    category: str = "old",
) -> list[JudgedSearch]:
    return [JudgedSearch(category, loss, stage, arrived, terms)] * count


HEALTHY = searches(60, 0.4) + searches(20, 0.4, "recall") + searches(20, 0.4, "none")


def evidence(window: Sequence[JudgedSearch], **changed: object) -> Evidence:
    """A quiet world, in which ``window`` was searched."""
    quiet = Evidence(
        signal=SIGNAL,
        baseline_loss=USUAL,
        searches=window,
        corpus_shift=STILL,
        query_shift=STILL,
        new_terms=(),
        term_coverage=0.95,
        categories_before={"old": 500, "small": 100},
        categories_now={"old": 500, "small": 100},
        logs={"documents indexed": 3},
        backlog_s=0.0,
        latency_p95_ms=12.0,
        feature_contributions={"bm25": 0.4},
    )
    return replace(quiet, **changed)  # type: ignore[arg-type]


NEW = searches(60, 0.9, "ranking", arrived=True, terms=("gpu", "tensor"), category="new")
LATE = searches(60, 1.0, "unindexed", arrived=True, category="new")
ASKED = searches(60, 0.9, "ranking", terms=("slang",))

SITUATIONS: dict[str, tuple[str, Evidence]] = {
    "new documents": ("corpus_shift", evidence(HEALTHY + NEW, corpus_shift=MOVED)),
    "new documents, new words asked": (
        "corpus_shift",
        evidence(HEALTHY + NEW, corpus_shift=MOVED, query_shift=MOVED),
    ),
    "new words about known documents": (
        "query_shift",
        evidence(HEALTHY + ASKED, query_shift=MOVED),
    ),
    "new words, some new documents nobody misses": (
        "query_shift",
        evidence(
            HEALTHY + ASKED + searches(20, 0.4, arrived=True),
            query_shift=MOVED,
            corpus_shift=MOVED,
        ),
    ),
    "documents stuck in the queue": (
        "stale_index",
        evidence(HEALTHY + LATE, corpus_shift=MOVED, backlog_s=300.0),
    ),
    "a stuck queue that nobody searches": (
        "ranking_loss",
        evidence(HEALTHY + searches(60, 0.9), backlog_s=300.0),
    ),
    "a bad ranker": ("ranking_loss", evidence(HEALTHY + searches(60, 0.9))),
    "a bad ranker while queries drift a little": (
        "ranking_loss",
        evidence(HEALTHY + searches(60, 0.9) + searches(5, 0.9, terms=("x",)), query_shift=MOVED),
    ),
    "a bad ranker and rare words": (
        "ranking_loss",
        evidence(HEALTHY + searches(60, 0.9, terms=("rare",))),
    ),
    "a broken retriever": ("recall_loss", evidence(HEALTHY + searches(60, 1.0, "recall"))),
    "a slow stage": ("slow_stage", evidence(HEALTHY, latency_p95_ms=1500.0)),
    "nothing at all": ("unknown", evidence([])),
    "nothing lost": ("unknown", evidence(searches(50, 0.0, "none"))),
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_cause_comes_first(name: str) -> None:
    cause, found = SITUATIONS[name]
    diagnosis = diagnose(found)
    ranked = [(c.type, round(c.share_of_loss, 2)) for c in diagnosis.causes]
    assert diagnosis.cause == cause, ranked
    shares = [c.share_of_loss for c in diagnosis.causes]
    assert shares == sorted(shares, reverse=True)
    assert all(0 <= share <= 1 for share in shares)
    assert all(c.evidence for c in diagnosis.causes)


def test_a_weakness_that_was_always_there_explains_no_drop() -> None:
    """Most of the loss is in ranking, as ever; what is new is the documents."""
    window = searches(300, 0.4) + searches(30, 0.9, arrived=True)
    diagnosis = diagnose(evidence(window, corpus_shift=MOVED))
    assert diagnosis.cause == "corpus_shift"
    assert diagnosis.causes[0].share_of_loss == pytest.approx(1.0)


def test_the_loss_is_split_by_stage() -> None:
    window = searches(10, 0.5) + searches(10, 0.3, "recall") + searches(2, 1.0, "unindexed")
    stages = diagnose(evidence(window)).loss_by_stage
    assert stages == {"unindexed": 0.2, "recall": 0.3, "ranking": 0.5}


def test_categories_that_grew_come_before_those_that_suffer() -> None:
    grown = evidence(
        HEALTHY + NEW,
        corpus_shift=MOVED,
        categories_now={"old": 510, "small": 100, "new": 80},
    )
    assert diagnose(grown).affected_categories == ["new"]
    suffering = evidence(HEALTHY + searches(10, 1.0, category="small"))
    assert diagnose(suffering).affected_categories == ["small"]
    unseen = evidence(HEALTHY, categories_now={"old": 500, "small": 100, "quiet": 50})
    assert diagnose(unseen).affected_categories == ["quiet"]
    assert diagnose(evidence(HEALTHY)).affected_categories == []


def test_low_coverage_terms_carry_their_share_of_the_loss() -> None:
    window = searches(3, 0.5) + searches(2, 0.5, terms=("b", "a")) + searches(1, 0.5, terms=("a",))
    terms = diagnose(evidence(window)).low_coverage_terms
    assert list(terms.items()) == [("a", 0.5), ("b", 0.3333)]
    many = searches(1, 1.0, terms=[f"t{i:02d}" for i in range(50)])
    assert len(diagnose(evidence(many), terms_named=7).low_coverage_terms) == 7


def written(found: Evidence) -> dict[str, Any]:
    told = report(diagnose(found), found, "si_2025_12_07_001", "2025-12-07T01:23:45Z", 500)
    read: dict[str, Any] = json.loads(json.dumps(told, allow_nan=False))
    return read


SPEC = {
    "cycle_id": str,
    "timestamp": str,
    "trigger": str,
    "current_value": float,
    "baseline": float,
    "delta": float,
    "root_cause_analysis": {
        "type": str,
        "affected_categories": list,
        "distribution_change": {"new_tokens": list, "coverage": float},
    },
    "xai_insights": {
        "low_coverage_tokens": list,
        "importance_scores": dict,
        "suggested_action": str,
    },
    "recommended_actions": list,
}


def missing(wanted: Mapping[str, object], told: object, path: str = "") -> list[str]:
    """Fields of the spec's sample (6A.3) that the report lacks or has of another type."""
    wrong = []
    assert isinstance(told, dict)
    for name, kind in wanted.items():
        if isinstance(kind, Mapping):
            wrong += missing(kind, told.get(name, {}), f"{path}{name}.")
        elif not isinstance(told.get(name), kind):  # type: ignore[arg-type]
            wrong.append(path + name)
    return wrong


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_report_has_every_field_of_the_spec(name: str) -> None:
    cause, found = SITUATIONS[name]
    told = written(found)
    assert missing(SPEC, told) == []
    assert told["root_cause_analysis"]["type"] == cause
    augmentation, retraining = told["recommended_actions"]
    assert augmentation["type"] == "data_augmentation"
    assert {"method", "target_tokens"} <= set(augmentation)
    assert augmentation["estimated_examples"] == 500
    assert retraining["type"] == "model_retraining"
    assert {"target", "expected_improvement"} <= set(retraining)


def test_the_report_tells_the_numbers_of_the_signal_and_the_evidence() -> None:
    _, found = SITUATIONS["new documents, new words asked"]
    found = replace(found, new_terms=("gpu", "tensor"), words={"gpu": "GPUs"})
    told = written(found)
    assert (told["trigger"], told["current_value"], told["baseline"]) == ("ndcg_drop", 0.45, 0.6)
    assert told["delta"] == pytest.approx(-0.15)
    change = told["root_cause_analysis"]["distribution_change"]
    assert change["new_tokens"] == ["GPUs", "tensor"]
    assert change["corpus_jensen_shannon"] == 0.2
    insights = told["xai_insights"]
    assert insights["low_coverage_tokens"] == ["GPUs", "tensor"]
    assert set(insights["importance_scores"]) == {"GPUs", "tensor"}
    assert insights["feature_contributions"] == {"bm25": 0.4}
    assert told["judged_searches"] == 160
    assert told["logs"] == {"documents indexed": 3}


def test_a_scheduled_cycle_has_a_report_too() -> None:
    told = written(evidence(HEALTHY, signal=None))
    assert (told["trigger"], told["current_value"], told["delta"]) == ("scheduled", None, None)


def test_what_training_can_gain_at_most_is_what_ranking_lost() -> None:
    window = searches(50, 0.4) + searches(50, 0.4, "recall")
    retraining = written(evidence(window))["recommended_actions"][1]
    assert retraining["expected_improvement"] == "at most +33%"

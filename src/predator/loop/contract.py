"""The contract of spec 6A.11 as data: what fires, what is done, what must hold, how soon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the contract.

    ``threshold`` is a relative change of the baseline where ``relative``, else a level; the
    signal fires when the reading goes ``direction`` beyond it.
    """

    signal: str
    trigger: str
    direction: Literal["down", "up"]
    threshold: float
    relative: bool
    actions: tuple[str, ...]
    react_within_s: float


CONTRACT: tuple[Row, ...] = (
    Row("ndcg_at_10", "ndcg_drop", "down", -0.03, True,
        ("diagnose", "augment", "train_reranker"), 3600),
    Row("recall_at_20", "recall_drop", "down", -0.05, True,
        ("widen_corpus", "tune_embeddings"), 7200),
    Row("latency_p95_ms", "latency_spike", "up", 800, False,
        ("profile_stages", "change_mode"), 300),
    Row("etl_backlog_s", "etl_backlog", "up", 60, False,
        ("optimise_processor", "refine_rules"), 600),
    Row("cost_share_of_budget", "cost_spike", "up", 0.8, False,
        ("reduce_inference", "cheaper_model"), 1800),
    Row("index_errors", "index_errors", "up", 3, False,
        ("retry", "quarantine", "reindex"), 180),
    Row("user_satisfaction", "csat_drop", "down", 4.0, False,
        ("collect_feedback", "update_from_feedback"), 86400),
)  # fmt: skip


def row(signal: str) -> Row:
    """The contract's row for a signal; ``KeyError`` where there is none."""
    for line in CONTRACT:
        if line.signal == signal:
            return line
    raise KeyError(signal)

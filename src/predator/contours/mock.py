"""Made-up measurements, for a contour that rehearses the loop without traffic (6A.10, dev-mac)."""

from __future__ import annotations

from collections.abc import Mapping

from predator.contours.model import Contour
from predator.contours.problems import did_you_mean, shown_key
from predator.domain.errors import InputError
from predator.domain.readings import Reading, Value

MOCK_N = 1_000
"""How many observations a made-up value claims: enough to be believed."""

MOCK_CI_REL = 0.001
"""Half the width of its interval, relative to the value."""

SIGNALS: Mapping[str, str] = {
    "ndcg_at_10": "ndcg_at_10",
    "recall_at_20": "recall_at_20",
    "latency_p95_ms": "latency_p95_ms",
    "avg_latency_ms": "latency_p95_ms",
    "etl_backlog_s": "etl_backlog_s",
    "cost_share_of_budget": "cost_share_of_budget",
    "index_errors": "index_errors",
    "user_satisfaction": "user_satisfaction",
}
"""Names that ``mockMetrics`` takes, and the contract's signal that each stands for. The spec's
``avg_latency_ms`` is a 95th percentile there too (6A.2)."""


def signals_of(metrics: Mapping[str, float]) -> Mapping[str, float]:
    """``metrics`` by the contract's signals; ``InputError`` for an unknown name, or for two
    names of one signal."""
    found: dict[str, float] = {}
    for name, value in metrics.items():
        if name not in SIGNALS:
            raise InputError(
                f"unknown metric selfImprovement.mockMetrics.{shown_key(name)}",
                cure=did_you_mean(name, SIGNALS) or f"known are {', '.join(SIGNALS)}",
            )
        if SIGNALS[name] in found:
            raise InputError(f"selfImprovement.mockMetrics holds {SIGNALS[name]} under two names")
        found[SIGNALS[name]] = value
    return found


def mock_readings(contour: Contour, at: float) -> Mapping[str, Reading]:
    """What the signals read at ``at`` (unix seconds) where ``mockSignals`` is set, else nothing.

    A signal that ``mockMetrics`` leaves out has no reading: it is not measured.
    """
    block = contour.self_improvement
    if not block.mock_signals:
        return {}
    return {
        signal: Value(value, MOCK_N, value * (1 - MOCK_CI_REL), value * (1 + MOCK_CI_REL), at)
        for signal, value in signals_of(block.mock_metrics).items()
    }

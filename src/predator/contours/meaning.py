"""What the keys of a contour mean to the rest of the house: plain values from plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping

from predator.contours.model import Contour
from predator.contours.schedule import Due
from predator.contours.schedule import next_cycle as next_due

POLICY_FLAGS = (
    "kill_switch",
    "manual_approval_required",
    "auto_promote",
    "auto_rollback",
    "ab_testing",
    "cost_optimization",
    "self_improvement_enabled",
    "simulated",
)

FROM_KEYS: Mapping[str, str] = {
    "experiment_share": "selfImprovement.features.abSplitRatio",
    "ndcg_delta_rel_min": "quality_gates.ndcg_at_10.min_delta",
    "latency_delta_rel_max": "quality_gates.latency_p95.max_delta",
    "cost_per_1k_usd_max": "quality_gates.cost_per_1k.max",
    "csat_min": "quality_gates.user_satisfaction.min",
}
"""Settings that a key of the spec gives; the ``settings`` block cannot give them again."""

GATE_PROFILES: Mapping[str, float] = {"spec": 1.0, "sensitive": 0.5}
"""The share of ``ndcg_delta_rel_min`` that the offline estimate has to reach. A true gain passes a
threshold at its own size half of the time, whatever the number of queries; at half its size nearly
always."""


def policy_defaults(contour: Contour) -> Mapping[str, bool]:
    """The flags of ``POLICY_FLAGS`` where no row of ``feature_flags`` says otherwise.

    Under the policy ``staging`` a promotion always needs a person: ``auto_promote`` is off there
    whatever ``features.autoPromote`` says. ``mockSignals`` turns a contour that is not
    ``enabled`` into one that rehearses (the spec's "mock mode"): on, and simulated.
    """
    block = contour.self_improvement
    return {
        "kill_switch": block.kill_switch,
        "manual_approval_required": block.manual_approval_required,
        "auto_promote": block.features.auto_promote and block.policy == "full",
        "auto_rollback": block.features.rollback_on_degrade,
        "ab_testing": block.features.ab_testing,
        "cost_optimization": block.kubecost.cost_optimization,
        "self_improvement_enabled": block.enabled or block.mock_signals,
        "simulated": block.mock_signals,
    }


def setting_values(contour: Contour) -> Mapping[str, str | int | float]:
    """What the contour says about settings: its keys of ``FROM_KEYS``, then its own block."""
    gates = contour.quality_gates
    from_keys = {
        "experiment_share": contour.self_improvement.features.ab_split_ratio,
        "ndcg_delta_rel_min": gates.ndcg_at_10.min_delta,
        "latency_delta_rel_max": gates.latency_p95.max_delta,
        "cost_per_1k_usd_max": gates.cost_per_1k.max,
        "csat_min": gates.user_satisfaction.min,
    }
    given = {name: value for name, value in from_keys.items() if value is not None}
    return {**given, **contour.settings}


def next_cycle(contour: Contour, after_unix_s: float) -> Due:
    """When the cycle after one at ``after_unix_s`` is due: by interval or schedule."""
    block = contour.self_improvement
    return next_due(block.cycle_interval_s, block.schedule, after_unix_s)


def budget_alert(contour: Contour, spent_usd: float, budget_usd: float) -> bool:
    """Whether the month's spend has reached ``kubecost.budgetAlert`` percent of its budget.

    Spend that is not known (NaN), or without a budget, alerts.
    """
    if not math.isfinite(spent_usd) or not math.isfinite(budget_usd):
        return True
    return spent_usd >= budget_usd * contour.self_improvement.kubecost.budget_alert / 100


def receiver(contour: Contour, *, degradation: bool) -> str | None:
    """Where a notice goes: a reference to the webhook, or ``None`` for nowhere.

    ``degradation``: the notice is about a loss of quality, which ``alertOnDegrade`` can silence.
    """
    monitoring = contour.self_improvement.monitoring
    if degradation and not monitoring.alert_on_degrade:
        return None
    return monitoring.slack_webhook

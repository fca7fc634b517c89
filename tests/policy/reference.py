"""The policy once more in plain Python, as a person would check it by hand; and requests to ask."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from predator.domain.verdicts import Decision
from predator.policy.decision import ACTIONS, CONTOURS, DEFAULT_DENY, UNKNOWN

ALLOW, DENY, NEEDS_APPROVAL = Decision.ALLOW, Decision.DENY, Decision.NEEDS_APPROVAL

Request = tuple[str, str, str, dict[str, Any]]

GOOD: dict[str, Any] = {
    "kill_switch": False,
    "self_improvement_enabled": True,
    "manual_approval_required": False,
    "auto_promote": True,
    "auto_rollback": True,
    "ab_testing": True,
    "cost_optimization": True,
    "cycles_within_limit": True,
    "budget_within_limit": True,
    "experiments_within_limit": True,
    "trigger": "ndcg_drop",
    "simulated": False,
    "evaluation": "PASS",
    "experiment": "PASS",
    "edge_required": True,
    "edge_experiment": "PASS",
    "rollback_target_healthy": True,
}
"""A context in which nothing stands in the way (but on dev-mac, where only simulations run)."""

BAD: dict[str, tuple[Any, ...]] = {
    "kill_switch": (True, "no", 0, "false"),
    "self_improvement_enabled": (False, "yes", 1),
    "manual_approval_required": (True, "x", 0),
    "auto_promote": (False, "true", 1),
    "auto_rollback": (False, False, "no", 0),
    "ab_testing": (False, 1),
    "cost_optimization": (False, False, "on"),
    "cycles_within_limit": (False, 3),
    "budget_within_limit": (False, 500),
    "experiments_within_limit": (False, 1),
    "trigger": ("cost_spike", "cost_spike", "", "schedule", True),
    "simulated": (True, True, True, "true", 1),
    "evaluation": ("FAIL", "INCONCLUSIVE", "ERROR", "pass", True),
    "experiment": ("FAIL", "INCONCLUSIVE", "ERROR", "", 1),
    "edge_required": (False, False, "no"),
    "edge_experiment": ("FAIL", "INCONCLUSIVE", True),
    "rollback_target_healthy": (False, False, "yes", 1),
}

WAY_BACK = {"rollback", "end_experiment"}
BOOKS = {"charge", "notify"}
RING = ACTIONS - BOOKS - {"drill"}


def reference(role: str, action: str, contour: str, context: dict[str, Any]) -> tuple[str, str]:
    """The decision and the rule that gives it."""
    known = role in ("loop", "drill", "operator") and action in ACTIONS and contour in CONTOURS
    if not known:
        return DENY, UNKNOWN
    refusal = _refusal(role, action, contour, context)
    if refusal:
        return DENY, refusal
    permit = _permit(role, action, contour)
    if not permit:
        return DENY, DEFAULT_DENY
    if action == "promote" and context.get("approved") is not True:
        if context.get("manual_approval_required") is not False:
            return NEEDS_APPROVAL, "approval-required"
        if context.get("auto_promote") is not True:
            return NEEDS_APPROVAL, "auto-promote-off"
    return ALLOW, permit


def _refusal(role: str, action: str, contour: str, context: dict[str, Any]) -> str:  # noqa: PLR0912
    def on(name: str) -> bool:
        return context.get(name) is True

    proven = context.get("evaluation") == "PASS" and context.get("experiment") == "PASS"
    loop = role == "loop"
    if context.get("kill_switch") is not False and action not in WAY_BACK | BOOKS:
        return "kill-switch"
    ends = WAY_BACK | BOOKS | {"end_watch", "register_model", "keep_gold", "take_backup"}
    if loop and action not in ends and not on("self_improvement_enabled"):
        return "loop-switched-off"
    if action == "begin_cycle":
        if not on("cycles_within_limit"):
            return "cycles-limit"
        if not on("budget_within_limit"):
            return "budget-limit"
        cause = context.get("trigger", "")
        if cause in ("", "cost_spike") and not on("cost_optimization"):
            return "cost-optimization-off"
    if action == "start_experiment":
        if not on("ab_testing"):
            return "ab-testing-off"
        if not on("experiments_within_limit"):
            return "experiments-limit"
    if action == "rollback":
        if loop and context.get("auto_rollback") is False:
            return "auto-rollback-off"
        if loop and not on("rollback_target_healthy"):
            return "target-not-known-healthy"
        if "rollback_target_healthy" in context and not on("rollback_target_healthy"):
            return "target-unhealthy"
    if action == "promote" and not proven:
        return "evidence-required"
    if action == "promote" and "from_contour" in context:
        before = {"edge-oracle": "dev-mac", "compute-nvidia": "edge-oracle"}
        if context["from_contour"] != before.get(contour, object()):
            return "contour-skipped"
    if action == "keep_gold" and loop and not proven:
        return "gold-needs-evidence"
    if contour == "dev-mac" and loop:
        free = WAY_BACK | BOOKS | {"end_watch"}
        if action not in free and not on("simulated"):
            return "dev-only-simulates"
    if contour in ("edge-oracle", "compute-nvidia"):
        touches = action in ("start_experiment", "promote", "keep_gold")
        if touches and context.get("simulated", False) is not False:
            return contour.split("-", maxsplit=1)[0] + "-not-simulated"
    if contour == "compute-nvidia" and action == "promote":
        needed = context.get("edge_required") is not False
        if needed and context.get("edge_experiment") != "PASS":
            return "edge-first"
    return ""


def _permit(role: str, action: str, contour: str) -> str:
    if action in BOOKS:
        return "news-and-costs"
    if role == "operator" and action in WAY_BACK:
        return "operator-rolls-back"
    if role == "operator" and action in ("take_backup", "keep_gold", "end_watch"):
        return "operator-keeps"
    if action == "drill" and role in ("drill", "operator"):
        drills = {"local": "drill-is-rehearsed", "edge-oracle": "edge-drill-is-rehearsed"}
        return drills.get(contour, "")
    if role == "loop" and action in RING:
        return {
            "local": "loop-turns-the-ring",
            "dev-mac": "" if action == "take_backup" else "dev-loop-simulates",
            "edge-oracle": "edge-loop-turns-the-ring",
            "compute-nvidia": "compute-loop-turns-the-ring",
        }[contour]
    return ""


def requests(seed: int, count: int) -> Iterator[Request]:
    """Random requests: mostly known, mostly good, so that every rule gets to decide."""
    chance = random.Random(seed)  # noqa: S311 - test data
    roles = ["loop"] * 20 + ["operator"] * 6 + ["drill"] * 3 + ["agent", "viewer", ""]
    often = ["promote", "begin_cycle", "start_experiment", "rollback", "keep_gold", "drill"]
    actions = [*sorted(ACTIONS), *often * 3, "promote", "promote", "deploy", ""]
    contours = [*CONTOURS * 8, "mars"]
    for _ in range(count):
        context: dict[str, Any] = {}
        bad, missing = chance.choice([(0.0, 0.0), (0.06, 0.03), (0.06, 0.03), (0.4, 0.3)])
        for name, good in GOOD.items():
            drawn = chance.random()
            if drawn >= bad + missing:
                context[name] = good
            elif drawn >= missing:
                context[name] = chance.choice(BAD[name])
        contour = chance.choice(contours)
        if contour == "dev-mac" and chance.random() < 0.7:
            context["simulated"] = True
        if chance.random() < 0.3:
            context["approved"] = chance.choice([True, True, False, "true", 1])
        if chance.random() < 0.2:
            context["from_contour"] = chance.choice(["dev-mac", "edge-oracle", "local", 1])
        if chance.random() < 0.1:
            context["budget"] = chance.choice([0, -5, 10**12])
        yield chance.choice(roles), chance.choice(actions), contour, context

"""The policy decision point: a pure answer, with the rule that gave it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from predator.domain.verdicts import Decision

Context = Mapping[str, bool | int | str]

ACTIONS = frozenset(
    {
        "diagnose",
        "ingest",
        "build_dataset",
        "train",
        "evaluate",
        "start_experiment",
        "end_experiment",
        "promote",
        "register_model",
        "end_watch",
        "rollback",
        "drill",
    }
)
"""The closed set of effects that the ring can have."""

DEFAULT_DENY = "default-deny"
MALFORMED = "malformed-request"

_NEEDS_APPROVAL = "approval-required"
_INT64 = 2**63


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the role (``loop``, ``drill``, ``operator``) decides, the name is recorded."""

    role: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """The answer, the ``@id`` of the rule that decided, and its reason in one line."""

    decision: Decision
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Rules:
    """The parsed policies; ``rank`` and ``reasons`` by rule id, in the order of the file."""

    parsed: Any
    rank: Mapping[str, int]
    reasons: Mapping[str, str]


def decide(principal: Principal, action: str, contour: str, context: Context) -> PolicyDecision:
    """What the policies in ``policy/*.cedar`` say; whatever they do not allow is DENY.

    The context holds the run-time flags (``kill_switch``, ``manual_approval_required``,
    ``approved``) and verdicts (``evaluation``, ``experiment``). A missing flag counts as its
    careful side. NEEDS_APPROVAL: it would be ALLOW if a person had approved.
    """
    if action not in ACTIONS:
        return PolicyDecision(Decision.DENY, DEFAULT_DENY, f"{action[:60]!r} is not a known action")
    if not all(_is_plain(value) for value in context.values()):
        return PolicyDecision(Decision.DENY, MALFORMED, "the context holds more than flags")
    answer = _ask(principal, action, contour, context)
    if answer.decision is Decision.DENY and answer.rule == _NEEDS_APPROVAL:
        approved = _ask(principal, action, contour, {**context, "approved": True})
        if approved.decision is Decision.ALLOW:
            return PolicyDecision(Decision.NEEDS_APPROVAL, answer.rule, answer.reason)
        return approved
    return answer


def _ask(principal: Principal, action: str, contour: str, context: Context) -> PolicyDecision:
    from cedarpy import is_authorized

    rules = _rules()
    request = {
        "principal": {"type": "Role", "id": principal.role},
        "action": {"type": "Action", "id": action},
        "resource": {"type": "Contour", "id": contour},
        "context": dict(context),
    }
    try:
        result = is_authorized(request, rules.parsed, "[]")
    except (ValueError, TypeError) as error:
        return PolicyDecision(Decision.DENY, MALFORMED, f"the request cannot be read: {error}")
    # Cedar skips a rule that fails to evaluate, and a skipped forbid would let the effect through.
    if result.diagnostics.errors:
        return PolicyDecision(
            Decision.DENY, MALFORMED, f"a rule failed: {result.diagnostics.errors[0]}"
        )
    deciding = sorted(
        result.diagnostics.id_annotations_by_reason.values(), key=rules.rank.__getitem__
    )
    if not deciding:
        reason = f"no rule lets {principal.role!r:.40} {action} on {contour!r:.40}"
        return PolicyDecision(Decision.DENY, DEFAULT_DENY, reason)
    decision = Decision.ALLOW if result.allowed else Decision.DENY
    return PolicyDecision(decision, deciding[0], rules.reasons[deciding[0]])


@cache
def _rules() -> _Rules:
    from cedarpy import PolicySet, policies_to_json_str

    texts = sorted(
        (file.name, file.read_text(encoding="utf-8"))
        for file in files("predator.policy").iterdir()
        if file.name.endswith(".cedar")
    )
    source = "\n".join(text for _, text in texts)
    policies = json.loads(policies_to_json_str(source))["staticPolicies"]
    notes = [policies[name]["annotations"] for name in sorted(policies, key=_number)]
    return _Rules(
        parsed=PolicySet.from_str(source),
        rank={note["id"]: rank for rank, note in enumerate(notes)},
        reasons={note["id"]: note["reason"] for note in notes},
    )


def _number(policy: str) -> int:
    """Cedar names the policies of a text ``policy0``, ``policy1`` … in their order."""
    return int(policy.removeprefix("policy"))


def _is_plain(value: object) -> bool:
    if isinstance(value, int):
        return -_INT64 <= value < _INT64
    return isinstance(value, str)

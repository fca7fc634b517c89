"""The policy decision point: a pure answer, with the rule that gave it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from predator.domain.verdicts import Decision
from predator.policy.rules import Context, RuleSet, UnreadableError, shipped

__all__ = [
    "ACTIONS",
    "CONTOURS",
    "DEFAULT_DENY",
    "MALFORMED",
    "ROLES",
    "UNKNOWN",
    "Context",
    "PolicyDecision",
    "Principal",
    "decide",
    "decide_by",
]

ACTIONS = frozenset(
    {
        "begin_cycle",
        "diagnose",
        "ingest",
        "build_dataset",
        "train",
        "evaluate",
        "register_model",
        "start_experiment",
        "end_experiment",
        "promote",
        "end_watch",
        "rollback",
        "drill",
        "keep_gold",
        "take_backup",
        "charge",
        "notify",
    }
)
"""The closed set of effects."""

ROLES = frozenset({"loop", "drill", "operator"})
"""Who can have effects. People act as ``operator``, whatever their token's role; that their
token may do it at all, ``policy.api`` says. Agents propose, so they are not here."""

CONTOURS = ("local", "dev-mac", "edge-oracle", "compute-nvidia")
"""The closed set of contours; each has its ``.cedar`` file."""

DEFAULT_DENY = "default-deny"
MALFORMED = "malformed-request"
UNKNOWN = "unknown-request"
KILL_SWITCH_RULE = "kill-switch"

_INT64 = 2**63
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: the role (``loop``, ``drill``, ``operator``) decides, the name is recorded."""

    role: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """The answer, the ``@id`` of the rule that decided, and its reason in one line.

    Where no rule decided, ``rule`` is ``default-deny`` (none permits it), ``unknown-request``
    (no such action, role or contour), ``malformed-request`` or, see ``policy.overrides``,
    ``override:<id>``.
    """

    decision: Decision
    rule: str
    reason: str


def decide(principal: Principal, action: str, contour: str, context: Context) -> PolicyDecision:
    """What the policies in ``policy/*.cedar`` say; whatever they do not allow is DENY.

    The context holds switches, limits and verdicts (``policy/schema.cedarschema`` lists them).
    A missing one counts as its careful side. NEEDS_APPROVAL: it would be ALLOW if a person had
    approved.
    """
    return decide_by(shipped(), principal, action, contour, context)


def decide_by(
    rules: RuleSet, principal: Principal, action: str, contour: str, context: Context
) -> PolicyDecision:
    """:func:`decide` by other rules than the shipped ones."""
    for kind, name, known in (
        ("action", action, ACTIONS),
        ("role", principal.role, ROLES),
        ("contour", contour, CONTOURS),
    ):
        if name not in known:
            return PolicyDecision(Decision.DENY, UNKNOWN, f"{name[:60]!r} is not a known {kind}")
    if not all(_is_plain(value) for value in context.values()):
        return PolicyDecision(Decision.DENY, MALFORMED, "the context holds more than flags")
    request = (principal.role, action, contour, context)
    try:
        found = rules.matched(*request)
        if found and all(rule.answer is Decision.NEEDS_APPROVAL for rule in found):
            # An approval lifts these; nobody is asked for one where no rule permits the effect.
            found = found if rules.permitting(*request) else []
    except UnreadableError as error:
        return PolicyDecision(Decision.DENY, MALFORMED, str(error))
    if not found:
        reason = f"no rule lets {principal.role} {action} on {contour}"
        return PolicyDecision(Decision.DENY, DEFAULT_DENY, reason)
    refused = (rule for rule in found if rule.answer is Decision.DENY)
    deciding = next(refused, found[0])
    return PolicyDecision(deciding.answer, deciding.id, deciding.reason)


def _is_plain(value: object) -> bool:
    if isinstance(value, int):
        return -_INT64 <= value < _INT64
    return isinstance(value, str) and not _SURROGATE.search(value)

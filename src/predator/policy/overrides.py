"""Exceptions to a decision that a person grants, with a name, a reason and an end."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from predator.domain.errors import InputError
from predator.domain.governance import Override
from predator.domain.verdicts import Decision
from predator.policy.decision import (
    ACTIONS,
    CONTOURS,
    KILL_SWITCH_RULE,
    MALFORMED,
    UNKNOWN,
    PolicyDecision,
)

PRODUCTION = frozenset({"compute-nvidia"})
"""Contours where an override counts only when a second person has confirmed it."""

MOST_S = 30 * 86_400.0
"""The longest that an override may last: an exception without an end is a rule."""

REASON_MOST = 500

FIRM = frozenset({KILL_SWITCH_RULE, MALFORMED, UNKNOWN})
"""What no override lifts. The kill switch would be no emergency stop if exceptions that were
granted before the emergency outlasted it; who wants to go on lifts the switch, which is on
record. A request that is malformed or unknown says nothing that a person could have meant."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A field of an override that cannot be accepted, and why."""

    field: str
    text: str


def needs_second(contour: str, production: Collection[str] = PRODUCTION) -> bool:
    """Whether an override on ``contour`` needs a second person."""
    return contour in production


def apply_override(
    decision: PolicyDecision,
    overrides: Sequence[Override],
    action: str,
    contour: str,
    at: float,
) -> PolicyDecision:
    """The decision after overrides: ALLOW by rule ``override:<id>`` where one counts.

    One counts at ``at`` (unix seconds) if it is of kind ``policy``, for this action and contour,
    active, and confirmed by a second person where the contour needs one. An ALLOW, and what is
    ``FIRM``, stays as it is. Of several, the one granted first is named.
    """
    if decision.decision is Decision.ALLOW or decision.rule in FIRM:
        return decision
    counting = [o for o in overrides if _counts(o, action, contour, at)]
    if not counting:
        return decision
    first = min(counting, key=lambda o: (o.created_at, o.id))
    who = first.actor + (f" and {first.second}" if first.second else "")
    return PolicyDecision(
        Decision.ALLOW,
        f"override:{first.id}",
        f"{who} overrode {decision.rule} until {_stamp(first.expires_at)}",
    )


def faults(
    *,
    kind: str,
    contour: str,
    target: str,
    threshold: float | None,
    actor: str,
    reason: str | None,
    expires_at: float | None,
    at: float,
) -> Sequence[Fault]:
    """What is wrong with an override that somebody asks for at ``at``; empty if nothing.

    Whether the gate ``target`` exists, the caller knows.
    """
    found = []
    if kind not in ("gate", "policy"):
        found.append(Fault("kind", "is gate or policy"))
    if contour not in CONTOURS:
        found.append(Fault("contour", f"is one of {', '.join(CONTOURS)}"))
    if kind == "policy" and target not in ACTIONS:
        found.append(Fault("target", f"is one of {', '.join(sorted(ACTIONS))}"))
    if kind == "policy" and threshold is not None:
        found.append(Fault("threshold", "belongs to a gate"))
    if kind == "gate" and (threshold is None or not math.isfinite(threshold)):
        found.append(Fault("threshold", "is required: the gate's floor, a finite number"))
    if not actor.strip():
        found.append(Fault("actor", "is required"))
    if not reason or not reason.strip():
        found.append(Fault("reason", "is required"))
    elif len(reason) > REASON_MOST or not reason.isprintable():
        found.append(Fault("reason", f"is one line of at most {REASON_MOST} characters"))
    if expires_at is None:
        found.append(Fault("expires_at", "is required"))
    elif not at < expires_at <= at + MOST_S:
        found.append(Fault("expires_at", "lies in the future, at most 30 days ahead"))
    return found


def check_override(override: Override, at: float) -> None:
    """Raise ``InputError`` naming the first field of a new override that cannot be accepted."""
    wrong = list(
        faults(
            kind=override.kind,
            contour=override.contour,
            target=override.target,
            threshold=override.threshold,
            actor=override.actor,
            reason=override.reason,
            expires_at=override.expires_at,
            at=at,
        )
    )
    if needs_second(override.contour) and not override.needs_second:
        wrong.append(Fault("needs_second", f"holds on {override.contour}"))
    if wrong:
        raise InputError(f"{wrong[0].field} {wrong[0].text}")


def _counts(override: Override, action: str, contour: str, at: float) -> bool:
    if (override.kind, override.target, override.contour) != ("policy", action, contour):
        return False
    if not override.active(at):
        return False
    if not (override.needs_second or needs_second(contour)):
        return True
    confirmed = override.confirmed_at is not None and override.confirmed_at <= at
    return confirmed and override.second not in ("", override.actor)


def _stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

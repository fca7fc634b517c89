"""Why the decision point says what it says: every rule that concerns a request, and the values
that mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from predator.domain.verdicts import Decision
from predator.policy.decision import MALFORMED, UNKNOWN, Principal, decide
from predator.policy.rules import Context, Rule, matches_alone, shipped


@dataclass(frozen=True, slots=True)
class Concern:
    """A rule that is about this principal, action and contour.

    ``matched``: its conditions hold too, so it has a say. ``context`` are the values it read,
    ``missing`` those it looked for in vain.
    """

    rule: str
    effect: Literal["permit", "forbid"]
    answer: Decision
    file: str
    line: int
    reason: str
    matched: bool
    context: Mapping[str, bool | int | str]
    missing: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "rule": self.rule,
            "effect": self.effect,
            "answer": str(self.answer),
            "file": self.file,
            "line": self.line,
            "reason": self.reason,
            "matched": self.matched,
            "context": dict(self.context),
            "missing": list(self.missing),
        }


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision and where it comes from.

    ``file``, ``line`` and ``source`` are the deciding rule's place and Cedar text; ``""`` and 0
    where no rule decided. ``concerns`` holds, by rank, the rules about this request, so also
    those that would have decided had another not come first. ``context`` and ``missing`` gather
    what these read; ``ignored`` are keys that no rule at all reads.
    """

    decision: Decision
    rule: str
    reason: str
    role: str
    action: str
    contour: str
    file: str
    line: int
    source: str
    concerns: Sequence[Concern]
    context: Mapping[str, bool | int | str]
    missing: Sequence[str]
    ignored: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "decision": str(self.decision),
            "rule": self.rule,
            "reason": self.reason,
            "role": self.role,
            "action": self.action,
            "contour": self.contour,
            "file": self.file,
            "line": self.line,
            "source": self.source,
            "concerns": [concern.to_json() for concern in self.concerns],
            "context": dict(self.context),
            "missing": list(self.missing),
            "ignored": list(self.ignored),
        }


def explain(principal: Principal, action: str, contour: str, context: Context) -> Explanation:
    """What :func:`predator.policy.decision.decide` says of the same request, and why."""
    answer = decide(principal, action, contour, context)
    rules = shipped()
    concerns: list[Concern] = []
    if answer.rule not in (UNKNOWN, MALFORMED):
        request = (principal.role, action, contour)
        for rule in rules.about(*request).rules:
            concerns.append(_concern(rule, context, matches_alone(rule, *request, context)))
    deciding = next((rule for rule in rules.rules if rule.id == answer.rule), None)
    read = {name: None for concern in concerns for name in (*concern.context, *concern.missing)}
    known = {name for rule in rules.rules for name in rule.reads}
    return Explanation(
        answer.decision,
        answer.rule,
        answer.reason,
        principal.role,
        action,
        contour,
        deciding.file if deciding else "",
        deciding.line if deciding else 0,
        deciding.source if deciding else "",
        tuple(concerns),
        {name: context[name] for name in read if name in context},
        tuple(name for name in read if name not in context),
        tuple(sorted(str(name) for name in context if name not in known)),
    )


def _concern(rule: Rule, context: Context, matched: bool) -> Concern:
    return Concern(
        rule.id,
        rule.effect,
        rule.answer,
        rule.file,
        rule.line,
        rule.reason,
        matched,
        {name: context[name] for name in rule.reads if name in context},
        tuple(name for name in rule.reads if name not in context),
    )

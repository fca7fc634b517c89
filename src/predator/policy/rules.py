"""The Cedar rules as they are shipped: read once, each with its place, source and reason."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from predator.domain.canonical import digest_of
from predator.domain.verdicts import Decision

Context = Mapping[str, bool | int | str]

COMMON = "common.cedar"

_START = '@id("'


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: where it stands, what it says, and which values of the context it reads.

    ``answer`` is what a match means: ALLOW for a permit, DENY for a forbid, or NEEDS_APPROVAL
    for a forbid that a person can lift.
    """

    id: str
    effect: Literal["permit", "forbid"]
    answer: Decision
    reason: str
    file: str
    line: int
    source: str
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """Some rules about one role, action and contour, by rank, and all that they read."""

    rules: Sequence[Rule]
    reads: Sequence[str]
    parsed: Any


class UnreadableError(Exception):
    """Cedar could not evaluate a request: it cannot be parsed, or a rule failed on it."""


class RuleSet:
    """Parsed rules. Their order is their rank: of several that decide, the first is named."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        """Parse ``texts`` (by file name); ``ValueError`` for what is no rule with a name."""
        from cedarpy import PolicySet

        self._texts = dict(sorted(texts.items(), key=lambda item: (item[0] != COMMON, item[0])))
        self._scopes: dict[tuple[str, str, str], tuple[Scope, Scope]] = {}
        self.rules: Sequence[Rule] = tuple(
            rule for name, text in self._texts.items() for rule in _rules_of(name, text)
        )
        count = len(PolicySet.from_str("\n".join(self._texts.values())))
        if not len(self.rules) == count == len({rule.id for rule in self.rules}):
            raise ValueError(f'every rule has a block of its own, from a unique {_START}…") on')

    @property
    def digest(self) -> str:
        """SHA-256 of all the text: two decisions with the same one followed the same rules."""
        return digest_of(self._texts)

    def without(self, rule_id: str) -> RuleSet:
        """The same rules less one."""
        (rule,) = (rule for rule in self.rules if rule.id == rule_id)
        text = self._texts[rule.file].replace(rule.source, "")
        return RuleSet({**self._texts, rule.file: text})

    def about(self, role: str, action: str, contour: str) -> Scope:
        """The rules that would have a say on this request if their conditions held.

        Most rules are about other actions or contours; leaving them out here, once for each of
        the few requests there are, makes every answer several times faster.
        """
        return self._about(role, action, contour)[0]

    def matched(self, role: str, action: str, contour: str, context: Context) -> Sequence[Rule]:
        """The rules that decide this request, by rank: forbids where any matches, else permits.

        Raises ``UnreadableError`` where a value cannot be read or a rule fails: Cedar skips a
        failing rule, and a skipped forbid would let the effect through.
        """
        return _matching(self.about(role, action, contour), role, action, contour, context)

    def permitting(self, role: str, action: str, contour: str, context: Context) -> Sequence[Rule]:
        """The permits that would decide if no forbid stood in their way."""
        return _matching(self._about(role, action, contour)[1], role, action, contour, context)

    def _about(self, role: str, action: str, contour: str) -> tuple[Scope, Scope]:
        """All rules about a request, and the permits among them."""
        key = (role, action, contour)
        if key not in self._scopes:
            rules = [r for r in self.rules if _satisfied(_unconditional(r.source), *key, {})]
            permits = [rule for rule in rules if rule.effect == "permit"]
            self._scopes[key] = (_scope(rules), _scope(permits))
        return self._scopes[key]


def matches_alone(rule: Rule, role: str, action: str, contour: str, context: Context) -> bool:
    """Whether this one rule matches, whatever the others say."""
    return bool(_matching(_scope([rule]), role, action, contour, context))


@cache
def shipped() -> RuleSet:
    """The rules of this package: ``common.cedar`` and one file a contour."""
    return RuleSet(
        {
            file.name: file.read_text(encoding="utf-8")
            for file in files("predator.policy").iterdir()
            if file.name.endswith(".cedar")
        }
    )


def policy_digest() -> str:
    """The digest of the rules in force, for the record of a decision."""
    return shipped().digest


def _scope(rules: Sequence[Rule]) -> Scope:
    reads = dict.fromkeys(name for rule in rules for name in rule.reads)
    return Scope(tuple(rules), tuple(reads), _parse("\n".join(rule.source for rule in rules)))


def _matching(
    scope: Scope, role: str, action: str, contour: str, context: Context
) -> Sequence[Rule]:
    read = {name: context[name] for name in scope.reads if name in context}
    return [scope.rules[n] for n in _satisfied(scope.parsed, role, action, contour, read)]


def _satisfied(
    parsed: Any, role: str, action: str, contour: str, context: Context
) -> Sequence[int]:
    """The numbers of the policies that decide, ascending."""
    from cedarpy import is_authorized

    request = {
        "principal": {"type": "Role", "id": role},
        "action": {"type": "Action", "id": action},
        "resource": {"type": "Contour", "id": contour},
        "context": dict(context),
    }
    try:
        said = is_authorized(request, parsed, _no_entities()).diagnostics
    except (ValueError, TypeError) as error:
        raise UnreadableError(f"the request cannot be read: {_line(error)}") from error
    if said.errors:
        raise UnreadableError(f"a rule failed: {_line(said.errors[0])}")
    return sorted(_number(policy) for policy in said.reasons)


def _number(policy: str) -> int:
    """Cedar names the policies of a text ``policy0``, ``policy1`` … in their order."""
    return int(policy.removeprefix("policy"))


def _line(said: object) -> str:
    return " ".join(str(said).split())[:200]


@cache
def _no_entities() -> Any:
    from cedarpy import Entities

    return Entities.from_json_str("[]")


@cache
def _parse(source: str) -> Any:
    from cedarpy import PolicySet

    return PolicySet.from_str(source)


@cache
def _unconditional(source: str) -> Any:
    """The rule that is left when a rule's conditions are taken away: its scope."""
    from cedarpy import PolicySet, policies_to_json_str

    policies = json.loads(policies_to_json_str(source))
    for policy in policies["staticPolicies"].values():
        policy["conditions"] = []
    return PolicySet.from_json_str(json.dumps(policies))


def _rules_of(name: str, text: str) -> Iterator[Rule]:
    from cedarpy import policies_to_json_str

    line = 1
    for block in text.split("\n\n"):
        start = block.find(_START) if block.startswith(_START) else block.find("\n" + _START) + 1
        if block[start:].startswith(_START):
            source = block[start:].rstrip("\n")
            policies = list(json.loads(policies_to_json_str(source))["staticPolicies"].values())
            if len(policies) != 1:
                raise ValueError(f"a block of {name} holds {len(policies)} rules")
            yield _rule(policies[0], name, line + block[:start].count("\n"), source)
        line += block.count("\n") + 2


def _rule(policy: Mapping[str, Any], name: str, line: int, source: str) -> Rule:
    notes, effect = policy["annotations"], policy["effect"]
    answer = Decision(notes.get("answer", "DENY")) if effect == "forbid" else Decision.ALLOW
    reads = tuple(dict.fromkeys(_reads(policy["conditions"])))
    if "reason" not in notes or (answer is Decision.ALLOW) != (effect == "permit"):
        raise ValueError(f"rule {notes['id']} of {name} says no reason, or no refusal")
    # An approval must lift what asks for one, and change nothing else.
    if (answer is Decision.NEEDS_APPROVAL) != ("approved" in reads):
        raise ValueError(f"rule {notes['id']} of {name} reads `approved`, or asks for it, alone")
    return Rule(notes["id"], effect, answer, notes["reason"], name, line, source, reads)


def _reads(node: Any) -> Iterator[str]:
    """The names of the context's values in a condition, in order."""
    if isinstance(node, dict):
        if node.get("left") == {"Var": "context"} and "attr" in node:
            yield node["attr"]
        for part in node.values():
            yield from _reads(part)
    elif isinstance(node, list):
        for part in node:
            yield from _reads(part)

"""Derive every decision of a cycle again from what it recorded, and say which one differs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from predator.domain.canonical import canonical_json, digest_of
from predator.domain.errors import IntegrityError
from predator.domain.governance import Override
from predator.domain.verdicts import Decision
from predator.journal.audit import read_journal
from predator.journal.files import read_file
from predator.journal.redact import MASK
from predator.loop.deciders import DECIDERS, policies_file, policy_digest, read_decision
from predator.loop.plain import restore
from predator.policy.decision import PolicyDecision, Principal, decide, decide_by
from predator.policy.overrides import apply_override
from predator.policy.rules import RuleSet
from predator.ports.runtime import Json

ROUNDING_REL = 1e-9
"""How far two processors, or two versions of Python, may round the same sum apart."""


@dataclass(frozen=True, slots=True)
class ReplayedDecision:
    """One recorded decision. ``ok``: the same inputs give the same answer now. ``reason`` names
    the first field that differs, or why nothing could be derived.
    """

    key: str
    decider: str
    ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Replayed:
    """All decisions of a cycle, in order; ``reason`` says what is wrong with the journal itself."""

    cycle_id: str
    decisions: tuple[ReplayedDecision, ...]
    reason: str = ""

    @property
    def ok(self) -> bool:
        return not self.reason and all(decision.ok for decision in self.decisions)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


def replay(folder: Path) -> Replayed:
    """Replay the cycle whose artifacts are in ``folder``; changes nothing, decides nothing new.

    Where the chain of the journal breaks, the records before the break are replayed.
    """
    chain, broken = read_journal(folder / "audit.jsonl")
    reason = f"record {len(chain.records) + 1}: {broken}" if broken else ""
    if not chain.records and not reason:
        reason = "there is no journal"
    decisions = []
    for record in chain.records:
        if record.get("type") == "decision":
            decisions.append(_decision(folder, record))
        elif record.get("type") == "policy":
            decisions.append(_policy(folder, record))
    return Replayed(folder.name, tuple(decisions), reason)


def _decision(folder: Path, record: Mapping[str, Any]) -> ReplayedDecision:
    key, name = str(record.get("key")), str(record.get("decider"))
    if name not in DECIDERS:
        return ReplayedDecision(key, name, False, "there is no such decider now")
    try:
        kept = read_decision(folder, record)
        derived = DECIDERS[name](kept["inputs"])
    except IntegrityError as error:
        return ReplayedDecision(key, name, False, error.cause)
    except Exception as error:  # whatever stands in the file: one that cannot be derived
        return ReplayedDecision(key, name, False, f"cannot be derived: {error!r}"[:300])
    return ReplayedDecision(key, name, *_compared(kept["output"], derived))


def _policy(folder: Path, record: Mapping[str, Any]) -> ReplayedDecision:
    key = f"{record.get('action')} at record {record['sequence']}"
    recorded = {"decision": record.get("decision"), "rule": record.get("rule")}
    try:
        found = _asked(folder, record)
    except (IntegrityError, _UnderivableError) as error:
        return ReplayedDecision(key, "policy", False, str(error))
    except Exception as error:  # as above
        return ReplayedDecision(key, "policy", False, f"cannot be derived: {error!r}"[:300])
    derived = {"decision": str(found.decision), "rule": found.rule}
    return ReplayedDecision(key, "policy", *_compared(recorded, derived))


class _UnderivableError(Exception):
    """The record does not hold what an answer of policy is derived from; ``str`` says what."""


def _asked(folder: Path, record: Mapping[str, Any]) -> PolicyDecision:
    """What the policies that were in force then say to the request, overrides applied."""
    effect, contour, context = (record.get(name) for name in ("effect", "contour", "context"))
    if "role" not in record or contour is None or not isinstance(context, Mapping):
        raise _UnderivableError("the record does not hold the whole request")
    if MASK in context.values():
        raise _UnderivableError("a value of the context was masked")
    principal = Principal(str(record["role"]), str(record.get("principal", "")))
    request = principal, str(effect), str(contour), context
    if record.get("policy_digest") == policy_digest():
        answer = decide(*request)
    else:
        answer = decide_by(_kept_policies(folder, str(record.get("policy_digest"))), *request)
    if not str(record.get("rule")).startswith("override:"):
        return answer
    if answer.decision is Decision.ALLOW or "override" not in record:
        raise _UnderivableError("the record does not hold the override that it names")
    override = restore(Override, record["override"])
    at = float(record.get("asked_at", record["at"]))
    return apply_override(answer, [override], str(effect), str(contour), at)


def _kept_policies(folder: Path, digest: str) -> RuleSet:
    try:
        texts = json.loads(read_file(folder, policies_file(digest)))
    except (IntegrityError, ValueError) as error:
        raise _UnderivableError("the policies changed since, and theirs were not kept") from error
    if digest_of(texts) != digest:
        raise IntegrityError(f"{policies_file(digest)} was changed")
    return RuleSet(texts)


def _compared(recorded: Json, derived: Json) -> tuple[bool, str]:
    """Whether they are the same, and where they first differ or that they were only rounded."""
    if canonical_json(recorded) == canonical_json(derived):
        return True, ""
    for path, then, now in differences(recorded, derived):
        if not _rounded(then, now):
            return False, f"{path}: recorded {_short(then)}, derived {_short(now)}"
    return True, "the same to nine digits: another processor or Python rounds otherwise"


def differences(recorded: Json, derived: Json, path: str = "") -> Iterator[tuple[str, Json, Json]]:
    """Each place (as a dotted path) where two values differ, with both values there."""
    below = f"{path}." if path else ""
    if isinstance(recorded, dict) and isinstance(derived, dict):
        for name in sorted({*recorded, *derived}):
            here = f"{below}{name}"
            yield from differences(recorded.get(name, _ABSENT), derived.get(name, _ABSENT), here)
    elif isinstance(recorded, list) and isinstance(derived, list) and len(recorded) == len(derived):
        for place, (then, now) in enumerate(zip(recorded, derived, strict=True)):
            yield from differences(then, now, f"{below}{place}")
    elif type(recorded) is not type(derived) or recorded != derived:
        yield path or "the answer", recorded, derived


_ABSENT = "(absent)"


def _rounded(then: Json, now: Json) -> bool:
    both = isinstance(then, float) and isinstance(now, float)
    return both and math.isclose(then, now, rel_tol=ROUNDING_REL, abs_tol=1e-12)


def _short(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)[:80]

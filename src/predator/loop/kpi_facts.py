"""What the key figures stand on, read from the register of cycles and what each cycle left."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from predator.domain.governance import CycleEntry
from predator.domain.verdicts import WatchDecision
from predator.loop import cycle_files
from predator.loop.kpi import CycleFact
from predator.loop.verify import fault_of
from predator.ports.cycles import Cycles

PAGE = 500
BY_PEOPLE, KEPT = "operator_rollback", "operator_keep"
NOT_CYCLES = frozenset({"contour_promotion", "drill", KEPT, BY_PEOPLE})
"""What is in the register for its id, and is no turn of the ring."""


FILES = frozenset({"evaluation.json", "watch.json"})
"""What the figures read of a cycle; where it is not what the journal says, nothing is known."""


def entries_since(cycles: Cycles, contour: str, since: float) -> Sequence[CycleEntry]:
    """Every entry of ``contour`` from ``since`` on, oldest first."""
    return sorted(
        (entry for entry in _every(cycles, contour) if entry.requested_at >= since),
        key=lambda entry: (entry.requested_at, cycle_files.order(entry.cycle_id)),
    )


def facts_of(artifacts: Path, entries: Sequence[CycleEntry]) -> Sequence[CycleFact]:
    """The facts of ``entries``, which come oldest first; what a cycle did not leave is ``None``.

    A release that people went back from counts as rolled back, as one that its watch took back; one
    that its watch held is not known, as if it were under way, until somebody keeps it. The cost of
    a release is measured when it is judged, so its change is against what was measured of the
    release before it: the last one among ``entries`` that went live and stayed.
    """
    found: list[CycleFact] = []
    costs: dict[str, float | None] = {}
    versions: dict[str, str] = {}
    kept = {
        entry.trigger.get("cycle_id")
        for entry in entries
        if entry.trigger.get("type") == KEPT and entry.outcome == "success"
    }
    for entry in entries:
        if entry.trigger.get("type") in NOT_CYCLES:
            continue
        live_at, versions[entry.cycle_id] = _deployed(artifacts, entry.cycle_id)
        broken = bool(fault_of(artifacts / entry.cycle_id, FILES))
        evaluated = (
            {} if broken else cycle_files.json_file(artifacts, entry.cycle_id, "evaluation.json")
        )
        costs[entry.cycle_id] = _cost(evaluated)
        held = broken or (entry.cycle_id not in kept and _held(artifacts, entry.cycle_id))
        found.append(
            CycleFact(
                entry.cycle_id,
                entry.requested_at,
                "" if held else entry.outcome,
                entry.moments.get("offline_verdict"),
                entry.moments.get("ended"),
                live_at,
                _gain(evaluated),
            )
        )
    found = _taken_back(found, entries, versions)
    before: float | None = None
    changes: dict[str, float] = {}
    for fact in sorted(found, key=lambda one: (one.live_at is None, one.live_at)):
        if fact.live_at is None:
            break
        cost = costs[fact.cycle_id]
        if before is not None and cost is not None and before > 0:
            changes[fact.cycle_id] = cost / before - 1
        before = cost if fact.outcome == "success" else before
    return [replace(fact, cost_delta_rel=changes.get(fact.cycle_id)) for fact in found]


def _every(cycles: Cycles, contour: str) -> Iterator[CycleEntry]:
    before: str | None = None
    while page := cycles.list(contour, limit=PAGE, before=before):
        yield from page
        before = page[-1].cycle_id


def _deployed(artifacts: Path, cycle_id: str) -> tuple[float | None, str]:
    """When the journal says that the release was deployed, and which version that was."""
    for record in cycle_files.audit_records(artifacts, cycle_id):
        action = record.get("action")
        if not isinstance(action, Mapping):
            continue
        if action.get("type") == "deploy" and action.get("status") == "completed":
            return _number(record.get("at")), str(action.get("version", ""))
    return None, ""


def _held(artifacts: Path, cycle_id: str) -> bool:
    """Whether the watch of a release ended without a decision."""
    looks = cycle_files.json_file(artifacts, cycle_id, "watch.json").get("looks")
    last = looks[-1] if isinstance(looks, list) and looks else None
    return isinstance(last, Mapping) and last.get("decision") == WatchDecision.HOLD


def _taken_back(
    facts: Sequence[CycleFact], entries: Sequence[CycleEntry], versions: Mapping[str, str]
) -> list[CycleFact]:
    """``facts`` with the outcome of those whose releases people went back from, and did not bring
    back since."""
    found, own = list(facts), [fact.outcome for fact in facts]
    moments = [(fact.live_at, place, "") for place, fact in enumerate(facts)
               if fact.live_at is not None and fact.outcome in ("", "success")]  # fmt: skip
    moments += [
        (entry.requested_at, -1, str(entry.trigger.get("to_version") or ""))
        for entry in entries
        if entry.trigger.get("type") == BY_PEOPLE and entry.outcome == "success"
    ]
    live: int | None = None
    for _, place, target in sorted(moments):
        if place >= 0:
            live = place
            continue
        back = [n for n, fact in enumerate(found) if target and versions[fact.cycle_id] == target]
        if live is not None and live not in back:
            found[live] = replace(found[live], outcome="rolled_back")
        live = back[0] if back else None
        if live is not None:
            found[live] = replace(found[live], outcome=own[live])
    return found


def _gain(evaluated: Mapping[str, Any]) -> float | None:
    """The gain without the winner's curse, or, of older cycles, as it was estimated."""
    gain = evaluated.get("gain")
    estimated = gain.get("delta_rel") if isinstance(gain, Mapping) else None
    shrunken = _number(evaluated.get("gain_shrunken_rel"))
    return shrunken if shrunken is not None else _number(estimated)


def _cost(evaluated: Mapping[str, Any]) -> float | None:
    rails = evaluated.get("guardrails")
    for rail in rails if isinstance(rails, Sequence) else ():
        if isinstance(rail, Mapping) and rail.get("name") == "cost_per_1k_usd":
            return _number(rail.get("value"))
    return None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)

"""What a cycle's files say about its experiment, for people: plan, looks, verdict, guards.

Files of older versions and damaged ones are shown as far as they can be read: what is missing is
``None``, never a number that was not measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from predator.domain.errors import PredatorError
from predator.domain.ids import is_cycle_id
from predator.journal.audit import read_journal
from predator.journal.files import promised, read_file
from predator.loop import cycle_files
from predator.loop.deciders import read_decision
from predator.loop.operator.desk import NotFoundError
from predator.loop.verify import fault_of

RESULTS, SCREEN, SHADOW = "ab_test_results.json", "screen_results.json", "shadow_results.json"
STEP = "steps/ab_test.json"
"""What the journal holds of the results: no record has the hash of :data:`RESULTS` itself."""

PREFIX = "exp-"
STATES = ("holds", "doubtful", "broken", "unknown")
JUDGES = frozenset({"judge_experiment", "look_experiment"})


@dataclass(frozen=True, slots=True)
class LookPoint:
    """One look: both arms' searches, the relative gain with its interval, and the evidence."""

    number: int
    elapsed_s: float | None
    searches: int | None
    delta_rel: float | None
    ci_low: float | None
    ci_high: float | None
    evidence: float | None


@dataclass(frozen=True, slots=True)
class ArmView:
    """One arm: how many users and searches it had, and the mean of the registered metric."""

    name: str
    users: int | None
    searches: int | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class MetricView:
    """A metric in both arms; ``state`` is one of :data:`STATES`."""

    name: str
    role: str
    baseline: float | None
    candidate: float | None
    delta_rel: float | None
    ci_low: float | None
    ci_high: float | None
    state: str


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """One experiment. ``verdict`` is ``RUNNING`` while it has none, ``STOPPED`` where its cycle
    ended without one, ``UNREADABLE`` where a journal names results that cannot be read;
    ``reason`` in the decider's words; ``audit`` is empty where the journal and the files that it
    names are intact, else what is wrong with them."""

    id: str
    cycle_id: str
    contour: str
    release: str
    verdict: str
    reason: str
    plan: Mapping[str, Any]
    arms: Sequence[ArmView]
    final: LookPoint | None
    looks: Sequence[LookPoint]
    metrics: Sequence[MetricView]
    notes: Mapping[str, Any]
    screen: Mapping[str, Any]
    shadow: Mapping[str, Any]
    audit: str


def cycle_of(experiment_id: str) -> str:
    """The cycle whose experiment ``experiment_id`` names (``exp-<cycle>``, or the cycle's id).

    ``NotFoundError`` for what names none.
    """
    cycle_id = experiment_id.removeprefix(PREFIX)
    if not is_cycle_id(cycle_id):
        raise NotFoundError(
            f"{experiment_id!r:.60} is no experiment", cure="See `predator experiment list`"
        )
    return cycle_id


def known(artifacts: Path) -> Iterator[ExperimentView]:
    """Every experiment that a cycle left or has under way, newest first."""
    for cycle_id in cycle_files.cycle_ids(artifacts):
        found = _read(artifacts, cycle_id, (RESULTS, SCREEN, SHADOW, STEP))
        if found is not None:
            yield found


def read_experiment(artifacts: Path, experiment_id: str) -> ExperimentView:
    """The experiment of this id; ``NotFoundError`` where its cycle has none."""
    found = _read(artifacts, cycle_of(experiment_id))
    if found is None:
        raise NotFoundError(
            f"{experiment_id!r:.60} is no experiment", cure="See `predator experiment list`"
        )
    return found


def _read(
    artifacts: Path, cycle_id: str, checked: Collection[str] | None = None
) -> ExperimentView | None:
    written = cycle_files.json_file(artifacts, cycle_id, RESULTS)
    screen = cycle_files.json_file(artifacts, cycle_id, SCREEN)
    started = _started(artifacts, cycle_id)
    if not written and not screen and started is None:
        return None
    ended = bool(written)
    result = _mapping(written.get("result")) if ended else _newest(artifacts, cycle_id)
    plan = _mapping(written.get("plan")) or _mapping((started or {}).get("plan"))
    looks = [_point(_mapping(one)) for one in _sequence(result.get("looks"))]
    difference = _mapping(result.get("difference"))
    return ExperimentView(
        id=f"{PREFIX}{cycle_id}",
        cycle_id=cycle_id,
        contour=cycle_files.contour_in_audit(artifacts, cycle_id),
        release=_text(written.get("release")) or _text(screen.get("release")),
        verdict=_text(written.get("verdict")) if ended else _without(artifacts, cycle_id),
        reason=_text(result.get("reason")),
        plan=plan,
        arms=_arms(result, difference),
        final=_final(result, difference, looks),
        looks=looks,
        metrics=[_metric(_mapping(one)) for one in _sequence(result.get("metrics"))],
        notes={
            name: result[name]
            for name in ("sample_ratio", "excluded", "excluded_users", "novelty", "csat")
            if name in result
        },
        screen=screen,
        shadow=cycle_files.json_file(artifacts, cycle_id, SHADOW),
        audit=fault_of(artifacts / cycle_id, checked) or _unlike(artifacts / cycle_id, written),
    )


def _without(artifacts: Path, cycle_id: str) -> str:
    """The verdict of an experiment without results, by its cycle's journal."""
    records = list(cycle_files.audit_records(artifacts, cycle_id))
    if not {RESULTS, STEP}.isdisjoint(promised(records)):
        return "UNREADABLE"
    return "STOPPED" if any("summary" in record for record in records) else "RUNNING"


def _unlike(folder: Path, written: Mapping[str, Any]) -> str:
    """Whether the results say something else than the step that the journal vouches for."""
    if not written or STEP not in promised(read_journal(folder / "audit.jsonl")[0].records):
        return ""
    try:
        judged = json.loads(read_file(folder, STEP))["result"]
        same = written.get("result") == judged and written.get("verdict") == judged["verdict"]
    except (PredatorError, ValueError, LookupError, TypeError):
        same = False
    return "" if same else f"{RESULTS} is not what its step recorded"


def _started(artifacts: Path, cycle_id: str) -> Mapping[str, Any] | None:
    """The record by which an experiment was put on users, if one was."""
    found = None
    for record in cycle_files.audit_records(artifacts, cycle_id):
        action = _mapping(record.get("action"))
        if record.get("type") == "action" and action.get("type") == "start_experiment":
            found = action
    return found


def _newest(artifacts: Path, cycle_id: str) -> Mapping[str, Any]:
    """What the last recorded look at a running experiment said; empty before the first."""
    for record in reversed(list(cycle_files.audit_records(artifacts, cycle_id))):
        if record.get("type") == "decision" and record.get("decider") in JUDGES:
            try:
                return _mapping(read_decision(artifacts / cycle_id, record)["output"])
            except PredatorError:
                return {}
    return {}


def _arms(result: Mapping[str, Any], difference: Mapping[str, Any]) -> list[ArmView]:
    users = _mapping(result.get("users"))
    return [
        ArmView(
            name,
            _count(users.get(name)),
            _count(difference.get(f"n_{letter}")),
            _number(difference.get(f"mean_{letter}")),
        )
        for name, letter in (("baseline", "a"), ("candidate", "b"))
    ]


def _final(
    result: Mapping[str, Any], difference: Mapping[str, Any], looks: Sequence[LookPoint]
) -> LookPoint | None:
    if not difference:
        return looks[-1] if looks else None
    return _point({"elapsed_s": result.get("elapsed_s"), "number": len(looks), **difference})


def _point(value: Mapping[str, Any]) -> LookPoint:
    counts = [_count(value.get("n_a")), _count(value.get("n_b"))]
    whole = [count for count in counts if count is not None]
    return LookPoint(
        number=_count(value.get("number")) or 0,
        elapsed_s=_number(value.get("elapsed_s")),
        searches=sum(whole) if len(whole) == len(counts) else None,
        delta_rel=_number(value.get("delta_rel")),
        ci_low=_number(value.get("ci_low")),
        ci_high=_number(value.get("ci_high")),
        evidence=_number(value.get("evidence")),
    )


def _metric(value: Mapping[str, Any]) -> MetricView:
    state = _text(value.get("state"))
    return MetricView(
        name=_text(value.get("name")),
        role=_text(value.get("role")),
        baseline=_number(value.get("baseline")),
        candidate=_number(value.get("candidate")),
        delta_rel=_number(value.get("delta_rel")),
        ci_low=_number(value.get("ci_low")),
        ci_high=_number(value.get("ci_high")),
        state=state if state in STATES else "unknown",
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)[:200]


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None or number < 0 else int(number)

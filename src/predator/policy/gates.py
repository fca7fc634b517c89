"""The quality gates (spec 6A.6): a change that is demanded, a floor, and what an override moves.

In the spec's YAML ``min_delta`` and ``max_delta`` look absolute and are meant relative ("+3% of
baseline"); here they are called ``delta_rel``. ``min`` and ``max`` are levels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from predator.domain.errors import InputError
from predator.domain.governance import Override
from predator.policy.decision import CONTOURS
from predator.policy.overrides import faults

Direction = Literal["min", "max"]

DIRECTIONS: Mapping[str, Direction] = {
    "ndcg_at_10": "min",
    "latency_p95": "max",
    "cost_per_1k": "max",
    "user_satisfaction": "min",
}
"""The closed set of gates: ``min`` where more is better, ``max`` where less is."""

BOUNDS: Mapping[str, tuple[float, float]] = {
    "ndcg_at_10": (0, 1),
    "latency_p95": (0, 600_000),
    "cost_per_1k": (0, 1_000_000),
    "user_satisfaction": (1, 5),
}
"""Which levels a gate's floor can have: NDCG@10, ms, USD for 1,000 searches, mean rating."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Gate:
    """What a candidate must meet; both conditions where both are set.

    ``delta_rel``: least (``min``) or most (``max``) change relative to the baseline.
    ``limit``: the floor (``min``) or ceiling (``max``) of the candidate's own level.
    ``override_id``: the override that set the limit.
    """

    name: str
    direction: Direction
    delta_rel: float | None
    limit: float | None
    override_id: str = ""


@dataclass(frozen=True, slots=True)
class GateResult:
    """``held`` is ``None`` where the gate could not be judged: that is not a pass."""

    held: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class EvaluationGates:
    """The gates as the stations that judge take them: numbers with units, ``None`` for no limit."""

    ndcg_delta_rel_min: float | None
    ndcg_min: float | None
    latency_delta_rel_max: float | None
    latency_p95_ms_max: float | None
    cost_delta_rel_max: float | None
    cost_per_1k_usd_max: float | None
    csat_delta_rel_min: float | None
    csat_min: float | None


def load_gates(block: Mapping[str, Mapping[str, float]]) -> Mapping[str, Gate]:
    """The gates of a ``quality_gates`` block, by name.

    ``InputError`` for an unknown gate or key, a value that is no number, or a gate that asks
    for nothing.
    """
    gates = {}
    for name, limits in block.items():
        direction = DIRECTIONS.get(name)
        if direction is None:
            raise InputError(
                f"unknown gate {str(name)[:60]!r}", cure=f"known are {', '.join(DIRECTIONS)}"
            )
        known = {f"{direction}_delta", direction}
        if not isinstance(limits, Mapping) or not limits or not set(limits) <= known:
            raise InputError(f"quality_gates.{name} takes {' and '.join(sorted(known))}")
        for key, value in limits.items():
            if _number(value) is None:
                raise InputError(f"quality_gates.{name}.{key} is not a finite number")
        gates[name] = Gate(name, direction, limits.get(f"{direction}_delta"), limits.get(direction))
    return gates


def with_overrides(
    gates: Mapping[str, Gate], overrides: Sequence[Override], contour: str, at: float
) -> Mapping[str, Gate]:
    """The gates with the floors that overrides active on ``contour`` at ``at`` set.

    The newest of several counts. An override never touches ``delta_rel``, and one whose
    threshold is no level of its gate changes nothing.
    """
    changed = dict(gates)
    for override in sorted(overrides, key=lambda one: (one.created_at, one.id)):
        gate = gates.get(override.target)
        counts = override.kind == "gate" and override.contour == contour and override.active(at)
        if gate is None or not counts or not _is_level(gate.name, override.threshold):
            continue
        changed[gate.name] = replace(gate, limit=override.threshold, override_id=override.id)
    return changed


def check(gate: Gate, baseline: float | None, candidate: float | None) -> GateResult:
    """Whether ``candidate`` meets the gate beside ``baseline``: levels in the gate's unit.

    A level that is missing, not finite or negative was not measured, and a change relative to a
    baseline of zero is not defined: ``held`` is ``None`` then. A gate that asks for nothing is
    not judged either.
    """
    after = _measured(gate.name, candidate)
    if after is None:
        return GateResult(None, f"{gate.name} of the candidate was not measured")
    if gate.delta_rel is None and gate.limit is None:
        return GateResult(None, f"{gate.name} has neither a change nor a level to meet")
    findings = []
    if gate.delta_rel is not None:
        before = _measured(gate.name, baseline)
        if before is None or before == 0:
            return GateResult(None, f"{gate.name} of the baseline was not measured, or is zero")
        change = _number((after - before) / before)
        if change is None or _number(gate.delta_rel) is None:
            return GateResult(None, f"{gate.name} and its baseline cannot be compared")
        slack = _ROUNDING  # 0.824 is 3% above 0.8, whatever the last bit says
        findings.append(_finding(gate.direction, change, gate.delta_rel, slack, "{:+.2%}"))
    if gate.limit is not None:
        if _number(gate.limit) is None:
            return GateResult(None, f"the limit of {gate.name} is not a number")
        findings.append(_finding(gate.direction, after, gate.limit, 0, "{:g}"))
    held = all(ok for ok, _ in findings)
    return GateResult(held, f"{gate.name}: {' and '.join(text for _, text in findings)}")


def to_evaluation_gates(gates: Mapping[str, Gate]) -> EvaluationGates:
    """The numbers for the stations; a gate that is not there asks for nothing."""
    nothing = Gate("", "min", None, None)
    ndcg, latency, cost, csat = (gates.get(name, nothing) for name in DIRECTIONS)
    return EvaluationGates(
        ndcg.delta_rel,
        ndcg.limit,
        latency.delta_rel,
        latency.limit,
        cost.delta_rel,
        cost.limit,
        csat.delta_rel,
        csat.limit,
    )


def validate_override_body(
    gate: object, threshold: object, reason: object, expires_at: object, now: float
) -> list[tuple[str, str]]:
    """What keeps an override from being granted, as (field, message); nothing where all is well.

    ``expires_at`` and ``now`` are unix seconds. No message repeats what was given.
    """
    problems = []
    level = _number(threshold)
    known = isinstance(gate, str) and gate in DIRECTIONS
    if not known:
        problems.append(("gate", f"is one of {', '.join(DIRECTIONS)}"))
    elif level is not None and not _is_level(str(gate), level):
        low, high = BOUNDS[str(gate)]
        problems.append(("threshold", f"lies between {low:g} and {high:g} for {gate}"))
    found = faults(
        kind="gate",
        contour=CONTOURS[0],  # which contour, and who, is not part of the body
        target=str(gate)[:100],
        threshold=level,
        actor="-",
        reason=reason if isinstance(reason, str) else None,
        expires_at=_number(expires_at),
        at=now,
    )
    return problems + [(fault.field, fault.text) for fault in found]


def _finding(
    direction: Direction, found: float, wanted: float, slack: float, form: str
) -> tuple[bool, str]:
    held = found >= wanted - slack if direction == "min" else found <= wanted + slack
    sign = "≥" if direction == "min" else "≤"
    verb = "is" if held else "is not"
    return held, f"{form.format(found)} {verb} {sign} {form.format(wanted)}"


def _number(value: object) -> float | None:
    """``value`` where it is a finite number, else ``None``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _measured(gate: str, value: object) -> float | None:
    """``value`` where it can be a level of what the gate judges."""
    return _number(value) if _is_level(gate, value) else None


def _is_level(gate: str, value: object) -> bool:
    number = _number(value)
    low, high = BOUNDS[gate]
    return number is not None and low <= number <= high

"""A gate asks for a change and a level; an override moves the level; no data is never a pass."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from predator.domain.errors import InputError
from predator.domain.governance import Override
from predator.policy.gates import (
    BOUNDS,
    DIRECTIONS,
    Gate,
    check,
    load_gates,
    to_evaluation_gates,
    validate_override_body,
    with_overrides,
)

SPEC = """
quality_gates:
  ndcg_at_10:
    min_delta: +0.03  # Має бути > +3% від baseline
  latency_p95:
    max_delta: +0.15  # Не більше +15%
  cost_per_1k:
    max: 0.50  # Не дорожче $0.50
  user_satisfaction:
    min: 4.0   # NPS ≥ 4/5
"""
GATES = load_gates(YAML(typ="safe", pure=True).load(SPEC)["quality_gates"])
BAD_NUMBERS = [None, math.nan, math.inf, -math.inf, -1.0, -0.001, 10**400, True, "0.9"]

levels = st.floats(0, 1e6) | st.just(0.0)
anything = st.floats() | st.none()


def override(target: str, threshold: float | None, **changes: Any) -> Override:
    made = Override("o1", "local", "gate", target, threshold, "ann", "why", 100.0, 200.0)
    return replace(made, **changes)


def test_the_gates_of_the_spec_load_as_they_are() -> None:
    assert dict(GATES) == {
        "ndcg_at_10": Gate("ndcg_at_10", "min", 0.03, None),
        "latency_p95": Gate("latency_p95", "max", 0.15, None),
        "cost_per_1k": Gate("cost_per_1k", "max", None, 0.50),
        "user_satisfaction": Gate("user_satisfaction", "min", None, 4.0),
    }


def test_a_delta_is_relative_to_the_baseline() -> None:
    gate = GATES["ndcg_at_10"]
    assert check(gate, 0.5, 0.516).held is True  # +3.2%; absolutely it is only +0.016
    assert check(gate, 0.5, 0.514).held is False
    assert check(gate, 0.8, 0.824).held is True  # exactly +3%, but for rounding
    assert check(GATES["latency_p95"], 100, 115).held is True
    assert check(GATES["latency_p95"], 100, 115.1).held is False


def test_a_level_is_judged_without_a_baseline() -> None:
    assert check(GATES["cost_per_1k"], None, 0.50).held is True
    assert check(GATES["cost_per_1k"], None, 0.501).held is False
    assert check(GATES["user_satisfaction"], None, 4.0).held is True
    assert check(GATES["user_satisfaction"], None, 3.99).held is False


def test_where_both_are_set_both_must_hold() -> None:
    gate = Gate("ndcg_at_10", "min", 0.03, 0.7)
    assert check(gate, 0.7, 0.73).held is True
    assert check(gate, 0.6, 0.65).held is False
    assert check(gate, 0.75, 0.76).held is False
    assert check(gate, 0.75, 0.76).reason == (
        "ndcg_at_10: +1.33% is not ≥ +3.00% and 0.76 is ≥ 0.7"
    )


@pytest.mark.parametrize("name", DIRECTIONS)
@pytest.mark.parametrize("bad", BAD_NUMBERS, ids=repr)
def test_what_was_not_measured_is_never_a_pass(name: str, bad: Any) -> None:
    for gate in (GATES[name], Gate(name, DIRECTIONS[name], 0.01, 3.0)):
        assert check(gate, 1.0, bad).held is None
    with_delta = Gate(name, DIRECTIONS[name], 0.01, None)
    assert check(with_delta, bad, 1.0).held is None
    assert check(with_delta, 0.0, 1.0).held is None
    assert check(replace(with_delta, delta_rel=math.nan), 1.0, 1.0).held is None
    assert check(replace(with_delta, limit=math.nan), 1.0, 1.0).held is None
    assert check(Gate(name, DIRECTIONS[name], None, None), 1.0, 1.0).held is None


@given(st.sampled_from(sorted(DIRECTIONS)), anything, anything, anything, anything)
def test_a_pass_needs_numbers_that_are_finite(
    name: str, delta: float | None, limit: float | None, before: float | None, after: float | None
) -> None:
    result = check(Gate(name, DIRECTIONS[name], delta, limit), before, after)
    if result.held is None:
        return
    needed = [after, *([delta, before] if delta is not None else []),
              *([limit] if limit is not None else [])]  # fmt: skip
    assert all(value is not None and math.isfinite(value) for value in needed)
    if result.held:
        better = 1 if DIRECTIONS[name] == "min" else -1
        assert after is not None
        assert limit is None or better * after >= better * limit
        if delta is not None and before is not None:
            assert better * (after - before) / before >= better * delta - 1e-8


@given(st.sampled_from(sorted(DIRECTIONS)), st.none() | st.floats(-0.9, 2), levels,
       st.none() | levels, levels, levels)  # fmt: skip
def test_a_tighter_floor_never_turns_a_refusal_into_a_pass(
    name: str,
    delta: float | None,
    tightened_by: float,
    limit: float | None,
    before: float,
    after: float,
) -> None:
    sign = 1 if DIRECTIONS[name] == "min" else -1
    loose = Gate(name, DIRECTIONS[name], delta, limit)
    if limit is None:
        if delta is None:
            return  # a gate that asks for nothing is not judged, whatever comes
        limit = tightened_by
    tight = replace(loose, limit=limit + sign * tightened_by)
    assert check(loose, before, after).held or not check(tight, before, after).held


def test_an_override_sets_the_floor_and_nothing_else() -> None:
    found = with_overrides(GATES, [override("ndcg_at_10", 0.70)], "local", 150.0)
    assert found["ndcg_at_10"] == Gate("ndcg_at_10", "min", 0.03, 0.70, "o1")
    assert {name: gate for name, gate in found.items() if name != "ndcg_at_10"} == {
        name: gate for name, gate in GATES.items() if name != "ndcg_at_10"
    }
    lower = with_overrides(GATES, [override("user_satisfaction", 3.5)], "local", 150.0)
    assert check(GATES["user_satisfaction"], None, 3.7).held is False
    assert check(lower["user_satisfaction"], None, 3.7).held is True


@pytest.mark.parametrize(
    ("changes", "at", "contour"),
    [
        ({}, 99.0, "local"),
        ({}, 200.0, "local"),
        ({}, math.nan, "local"),
        ({}, 150.0, "edge-oracle"),
        ({"revoked_at": 120.0}, 150.0, "local"),
        ({"needs_second": True}, 150.0, "local"),
        ({"kind": "policy"}, 150.0, "local"),
        ({"target": "recall_at_20"}, 150.0, "local"),
        ({"threshold": None}, 150.0, "local"),
        ({"threshold": math.nan}, 150.0, "local"),
        ({"threshold": -1.0}, 150.0, "local"),
        ({"threshold": 70.0}, 150.0, "local"),
    ],
)
def test_an_override_that_does_not_count_changes_nothing(
    changes: dict[str, Any], at: float, contour: str
) -> None:
    changed = replace(override("ndcg_at_10", 0.7), **changes)
    assert with_overrides(GATES, [changed], contour, at) == GATES


def test_of_several_overrides_the_newest_counts_until_it_ends() -> None:
    old, new = override("ndcg_at_10", 0.7), override("ndcg_at_10", 0.6, id="o2", created_at=120.0)
    new = replace(new, expires_at=160.0)
    for order in ([old, new], [new, old]):
        assert with_overrides(GATES, order, "local", 150.0)["ndcg_at_10"].limit == 0.6
        assert with_overrides(GATES, order, "local", 170.0)["ndcg_at_10"].limit == 0.7
    confirmed = replace(new, needs_second=True, second="bob", confirmed_at=130.0)
    assert with_overrides(GATES, [confirmed], "local", 150.0)["ndcg_at_10"].override_id == "o2"


def test_the_stations_get_plain_numbers() -> None:
    found = to_evaluation_gates(
        with_overrides(GATES, [override("ndcg_at_10", 0.70)], "local", 150.0)
    )
    assert found.ndcg_delta_rel_min == 0.03
    assert found.ndcg_min == 0.70
    assert found.latency_delta_rel_max == 0.15
    assert found.latency_p95_ms_max is None
    assert found.cost_delta_rel_max is None
    assert found.cost_per_1k_usd_max == 0.50
    assert found.csat_delta_rel_min is None
    assert found.csat_min == 4.0
    everything = {
        name: {f"{side}_delta": 0.25, side: 4.5 if name == "user_satisfaction" else 0.75}
        for name, side in DIRECTIONS.items()
    }
    whole = to_evaluation_gates(load_gates(everything))
    assert whole.latency_p95_ms_max == 0.75
    assert whole.cost_delta_rel_max == 0.25
    assert whole.csat_delta_rel_min == 0.25
    assert to_evaluation_gates({}).ndcg_delta_rel_min is None


@pytest.mark.parametrize(
    ("block", "word"),
    [
        ({"ndcg": {"min": 0.5}}, "unknown gate 'ndcg'"),
        ({"ndcg_at_10": {"max_delta": 0.5}}, "quality_gates.ndcg_at_10 takes min and min_delta"),
        ({"latency_p95": {"min": 1}}, "quality_gates.latency_p95 takes max and max_delta"),
        ({"ndcg_at_10": {}}, "quality_gates.ndcg_at_10"),
        ({"ndcg_at_10": None}, "quality_gates.ndcg_at_10"),
        ({"ndcg_at_10": 0.03}, "quality_gates.ndcg_at_10"),
        ({"ndcg_at_10": {"min_delta": math.nan}}, "ndcg_at_10.min_delta is not a finite number"),
        ({"ndcg_at_10": {"min_delta": True}}, "ndcg_at_10.min_delta is not a finite number"),
        ({"ndcg_at_10": {"min_delta": "3%"}}, "ndcg_at_10.min_delta is not a finite number"),
    ],
)
def test_a_gate_that_cannot_be_is_named(block: Any, word: str) -> None:
    with pytest.raises(InputError) as error:
        load_gates(block)
    assert word in str(error.value)


NOW = 1_000.0
GOOD: dict[str, Any] = {
    "gate": "ndcg_at_10",
    "threshold": 0.70,
    "reason": "the holiday index is small",
    "expires_at": NOW + 3600,
}


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({}, []),
        ({"reason": None}, ["reason"]),
        ({"reason": ""}, ["reason"]),
        ({"reason": "  \n"}, ["reason"]),
        ({"reason": 5}, ["reason"]),
        ({"reason": "x" * 501}, ["reason"]),
        ({"reason": "one\nCycle: forged"}, ["reason"]),
        ({"expires_at": None}, ["expires_at"]),
        ({"expires_at": NOW}, ["expires_at"]),
        ({"expires_at": NOW + 366 * 86_400}, ["expires_at"]),
        ({"expires_at": math.nan}, ["expires_at"]),
        ({"expires_at": math.inf}, ["expires_at"]),
        ({"expires_at": "tomorrow"}, ["expires_at"]),
        ({"expires_at": True}, ["expires_at"]),
        ({"reason": None, "expires_at": None}, ["reason", "expires_at"]),
        ({"threshold": None}, ["threshold"]),
        ({"threshold": math.nan}, ["threshold"]),
        ({"threshold": 1.01}, ["threshold"]),
        ({"threshold": -0.01}, ["threshold"]),
        ({"gate": "user_satisfaction", "threshold": 0.5}, ["threshold"]),
        ({"gate": "recall_at_20"}, ["gate"]),
        ({"gate": None}, ["gate"]),
        ({"gate": ["ndcg_at_10"]}, ["gate"]),
    ],
)
def test_what_an_override_lacks_is_named(changes: dict[str, Any], fields: list[str]) -> None:
    given = {**GOOD, **changes}
    problems = validate_override_body(**given, now=NOW)
    assert [field for field, _ in problems] == fields


@given(
    st.sampled_from(sorted(DIRECTIONS)) | st.text(max_size=20) | st.none(),
    st.floats() | st.none() | st.text(max_size=5),
    st.text(max_size=30) | st.none(),
    st.floats() | st.none() | st.integers(),
)
def test_an_override_that_is_accepted_counts(
    gate: Any, threshold: Any, reason: Any, expires_at: Any
) -> None:
    if validate_override_body(gate, threshold, reason, expires_at, NOW):
        return
    granted = override(gate, threshold, created_at=NOW, expires_at=expires_at, reason=reason)
    low, high = BOUNDS[gate]
    assert low <= threshold <= high
    assert with_overrides(GATES, [granted], "local", NOW)[gate].limit == threshold

"""Every effect asks first; the answer names its rule, and equals a reference written plainly."""

from __future__ import annotations

import time
from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from predator.domain.verdicts import Decision
from predator.policy.decision import ACTIONS, DEFAULT_DENY, MALFORMED, Principal, decide

LOOP, DRILL, OPERATOR = Principal("loop"), Principal("drill"), Principal("operator", "ann")
FLAGS: dict[str, Any] = {
    "kill_switch": False,
    "manual_approval_required": False,
    "evaluation": "PASS",
    "experiment": "PASS",
}
ALLOW, DENY, NEEDS_APPROVAL = Decision.ALLOW, Decision.DENY, Decision.NEEDS_APPROVAL


def reference(
    role: str, action: str, contour: str, context: dict[str, Any]
) -> tuple[Decision, str]:
    """The rules once more, as a person would check them by hand."""
    if action not in ACTIONS:
        return DENY, DEFAULT_DENY
    if context.get("kill_switch") is not False and action != "rollback":
        return DENY, "kill-switch"
    proven = context.get("evaluation") == "PASS" and context.get("experiment") == "PASS"
    if action == "promote" and not proven:
        return DENY, "evidence-required"
    permit = DEFAULT_DENY
    if contour == "local":
        if role == "loop" and action != "drill":
            permit = "loop-turns-the-ring"
        elif role in ("drill", "operator") and action == "drill":
            permit = "drill-is-rehearsed"
        elif role == "operator" and action == "rollback":
            permit = "operator-rolls-back"
    if permit == DEFAULT_DENY:
        return DENY, DEFAULT_DENY
    asked = context.get("manual_approval_required") is not False
    if action == "promote" and asked and context.get("approved") is not True:
        return NEEDS_APPROVAL, "approval-required"
    return ALLOW, permit


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in FLAGS.items() if key != name}


@pytest.mark.parametrize("action", sorted(ACTIONS))
@pytest.mark.parametrize("principal", [LOOP, DRILL, OPERATOR], ids=lambda who: who.role)
def test_who_may_do_what_when_all_is_well(principal: Principal, action: str) -> None:
    allowed = {
        "loop": ACTIONS - {"drill"},
        "drill": {"drill"},
        "operator": {"drill", "rollback"},
    }
    answer = decide(principal, action, "local", FLAGS)
    assert answer.decision is (ALLOW if action in allowed[principal.role] else DENY)


@pytest.mark.parametrize(
    ("principal", "action", "contour"),
    [
        (Principal("intruder"), "train", "local"),
        (Principal(""), "train", "local"),
        (Principal("Loop"), "train", "local"),
        (Principal('loop"'), "train", "local"),
        (Principal("x", "loop"), "train", "local"),
        (Principal('loop"\n::Role::"loop'), "rollback", "local"),
        (Principal("\ud800"), "train", "local"),
        (LOOP, "deploy", "local"),
        (LOOP, "", "local"),
        (LOOP, "Promote", "local"),
        (LOOP, "promote ", "local"),
        (LOOP, 'train" || true', "local"),
        (LOOP, "train", "compute-nvidia"),
        (LOOP, "rollback", "edge-oracle"),
        (LOOP, "train", ""),
        (LOOP, "train", "local\n"),
        (LOOP, "train", "\ud800"),
        (DRILL, "promote", "local"),
        (OPERATOR, "drill", "dev-mac"),
    ],
)
def test_what_no_rule_permits_is_denied(principal: Principal, action: str, contour: str) -> None:
    answer = decide(principal, action, contour, FLAGS)
    assert answer.decision is DENY
    assert answer.rule in (DEFAULT_DENY, MALFORMED)
    assert answer.reason


@pytest.mark.parametrize("engaged", [True, 1, "true", "", "False", 0], ids=repr)
def test_the_kill_switch_stops_all_but_the_rollback(engaged: bool | int | str) -> None:
    flags = {**FLAGS, "kill_switch": engaged}
    for action in ACTIONS - {"rollback"}:
        for principal in (LOOP, DRILL, OPERATOR):
            answer = decide(principal, action, "local", flags)
            assert (answer.decision, answer.rule) == (DENY, "kill-switch")
    for principal in (LOOP, OPERATOR):
        assert decide(principal, "rollback", "local", flags).decision is ALLOW


def test_a_kill_switch_that_nobody_could_read_counts_as_engaged() -> None:
    assert decide(LOOP, "train", "local", without("kill_switch")).rule == "kill-switch"
    assert decide(LOOP, "rollback", "local", {}).decision is ALLOW


@pytest.mark.parametrize("gate", ["evaluation", "experiment"])
def test_only_a_pass_promotes(gate: str) -> None:
    unproven: list[dict[str, Any]] = [
        {**FLAGS, gate: verdict}
        for verdict in ("FAIL", "INCONCLUSIVE", "ERROR", "pass", "", 1, True)
    ]
    for flags in [without(gate), *unproven]:
        for approved in (flags, {**flags, "approved": True}):
            answer = decide(LOOP, "promote", "local", approved)
            assert (answer.decision, answer.rule) == (DENY, "evidence-required")


def test_a_person_is_asked_where_the_flag_says_so() -> None:
    for flags in ({**FLAGS, "manual_approval_required": True}, without("manual_approval_required")):
        answer = decide(LOOP, "promote", "local", flags)
        assert (answer.decision, answer.rule) == (NEEDS_APPROVAL, "approval-required")
        assert "approve" in answer.reason
        assert decide(LOOP, "promote", "local", {**flags, "approved": True}).decision is ALLOW
        assert (
            decide(LOOP, "promote", "local", {**flags, "approved": "yes"}).decision
            is NEEDS_APPROVAL
        )
        assert decide(LOOP, "train", "local", flags).decision is ALLOW


def test_nobody_is_asked_to_approve_what_would_be_denied_anyway() -> None:
    flags = {**FLAGS, "manual_approval_required": True}
    assert decide(DRILL, "promote", "local", flags).decision is DENY
    assert decide(LOOP, "promote", "edge-oracle", flags).decision is DENY
    assert decide(LOOP, "promote", "local", {**flags, "kill_switch": True}).rule == "kill-switch"


@pytest.mark.parametrize(
    "value", [0.5, None, [], {}, 2**63, -(2**63) - 1, b"x", "\ud800"], ids=repr
)
def test_a_context_that_cannot_be_read_denies(value: Any) -> None:
    answer = decide(LOOP, "rollback", "local", {**FLAGS, "odd": value})
    assert (answer.decision, answer.rule) == (DENY, MALFORMED)


def test_unknown_flags_change_nothing() -> None:
    hostile: dict[str, Any] = {
        "__entity": "x",
        "__extn": "y",
        "principal": "loop",
        "": "",
        "a b": 1,
        "x": 2**63 - 1,
    }
    assert decide(LOOP, "promote", "local", {**FLAGS, **hostile}).decision is ALLOW


def test_the_policies_are_sound_against_their_schema() -> None:
    from cedarpy import validate_policies

    flags = "kill_switch?: Bool, manual_approval_required?: Bool, approved?: Bool"
    actions = ", ".join(sorted(ACTIONS))
    schema = (
        f"entity Role; entity Contour; action {actions} appliesTo {{ principal: Role, "
        f"resource: Contour, context: {{ {flags}, evaluation?: String, experiment?: String }} }};"
    )
    source = files("predator.policy").joinpath("local.cedar").read_text(encoding="utf-8")
    result = validate_policies(source, schema)
    assert result.validation_passed, [str(error) for error in result.errors]


def test_equals_its_reference_on_random_requests() -> None:
    chance = np.random.default_rng(16)

    def pick(*values: Any) -> Any:
        return values[int(chance.integers(len(values)))]

    actions = [*sorted(ACTIONS), "promote", "promote", "promote", "deploy", ""]
    seen = set()
    for _ in range(20_000):
        role = pick("loop", "loop", "loop", "drill", "operator", "viewer", "")
        action = pick(*actions)
        contour = pick("local", "local", "local", "edge-oracle", "compute-nvidia", "")
        context = {
            name: value
            for name, value in {
                "kill_switch": pick(False, False, False, False, True, "no", 0),
                "manual_approval_required": pick(False, False, True, "x", 0),
                "approved": pick(False, True, "true", 1),
                "evaluation": pick("PASS", "PASS", "PASS", "FAIL", "ERROR", True),
                "experiment": pick("PASS", "PASS", "PASS", "INCONCLUSIVE", 1),
                "budget": pick(0, -5, 10**12),
            }.items()
            if chance.random() < 0.9
        }
        answer = decide(Principal(role), action, contour, context)
        assert (answer.decision, answer.rule) == reference(role, action, contour, context)
        seen.add((answer.decision, answer.rule))
    assert len(seen) == 7


def test_answers_fast_enough_to_be_asked_every_time() -> None:
    decide(LOOP, "promote", "local", FLAGS)
    started = time.perf_counter()
    for _ in range(2_000):
        decide(LOOP, "promote", "local", FLAGS)
    assert 2_000 / (time.perf_counter() - started) > 1_000

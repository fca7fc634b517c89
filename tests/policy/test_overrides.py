"""An override lifts a refusal for its time, with a name; never the kill switch, never nonsense."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.errors import InputError
from predator.domain.governance import Override
from predator.policy.decision import (
    ACTIONS,
    CONTOURS,
    MALFORMED,
    UNKNOWN,
    PolicyDecision,
    Principal,
    decide,
)
from predator.policy.overrides import (
    FIRM,
    MOST_S,
    apply_override,
    check_override,
    faults,
    needs_second,
)
from tests.policy.reference import ALLOW, DENY, GOOD, NEEDS_APPROVAL, reference, requests

DAY = 86_400.0
NOW = 1_800_000_000.0
LOOP = Principal("loop")
GRANTED = Override(
    "o1", "local", "policy", "promote", None, "ann", "the fix cannot wait", NOW - DAY, NOW + DAY
)
BOTH = replace(GRANTED, needs_second=True, second="bob", confirmed_at=NOW)
DENIED = PolicyDecision(DENY, "evidence-required", "no evidence")


def after(override: Override, contour: str = "local", at: float = NOW) -> PolicyDecision:
    return apply_override(DENIED, [override], "promote", contour, at)


def test_it_turns_a_refusal_and_a_wait_into_an_allow_with_a_name_and_an_end() -> None:
    for refused in (DENIED, PolicyDecision(NEEDS_APPROVAL, "approval-required", "ask")):
        answer = apply_override(refused, [GRANTED], "promote", "local", NOW)
        assert (answer.decision, answer.rule) == (ALLOW, "override:o1")
        assert answer.reason == f"ann overrode {refused.rule} until 2027-01-16T08:00:00Z"


@pytest.mark.parametrize(
    "other",
    [
        replace(GRANTED, target="train"),
        replace(GRANTED, target=""),
        replace(GRANTED, contour="edge-oracle"),
        replace(GRANTED, contour="all"),
        replace(GRANTED, kind="gate", threshold=0.7),
        replace(GRANTED, expires_at=NOW),
        replace(GRANTED, expires_at=NOW - 1),
        replace(GRANTED, created_at=NOW + 1),
        replace(GRANTED, revoked_at=NOW - 1, revoked_by="bob"),
        replace(GRANTED, needs_second=True),
        replace(GRANTED, expires_at=math.nan),
    ],
)
def test_it_lifts_nothing_but_what_it_names_while_it_lasts(other: Override) -> None:
    assert after(other) == DENIED


def test_an_allow_stays_the_rules_own() -> None:
    allowed = PolicyDecision(ALLOW, "loop-turns-the-ring", "the loop may")
    assert apply_override(allowed, [GRANTED], "promote", "local", NOW) == allowed


@pytest.mark.parametrize("rule", sorted(FIRM))
def test_some_refusals_are_firm(rule: str) -> None:
    refused = PolicyDecision(DENY, rule, "no")
    assert apply_override(refused, [GRANTED], "promote", "local", NOW) == refused


def test_of_several_the_first_granted_is_named() -> None:
    later = replace(GRANTED, id="a", created_at=NOW - 1)
    for order in ([GRANTED, later], [later, GRANTED]):
        assert apply_override(DENIED, order, "promote", "local", NOW).rule == "override:o1"


class TestSecondPerson:
    COMPUTE = replace(GRANTED, contour="compute-nvidia", needs_second=True)

    def test_only_production_needs_one(self) -> None:
        assert {c for c in CONTOURS if needs_second(c)} == {"compute-nvidia"}
        assert needs_second("edge-oracle", {"edge-oracle"})

    def test_it_counts_from_the_confirmation_on(self) -> None:
        confirmed = replace(self.COMPUTE, second="bob", confirmed_at=NOW)
        answer = after(confirmed, "compute-nvidia")
        assert answer.decision is ALLOW
        assert answer.reason.startswith("ann and bob overrode evidence-required until ")
        assert after(confirmed, "compute-nvidia", NOW - 1) == DENIED

    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"second": "bob"},
            {"confirmed_at": NOW},
            {"second": "ann", "confirmed_at": NOW},
            {"needs_second": False},
            {"needs_second": False, "second": "ann", "confirmed_at": NOW},
        ],
        ids=str,
    )
    def test_a_forged_or_missing_second_person_lifts_nothing(self, changes: Any) -> None:
        assert after(replace(self.COMPUTE, **changes), "compute-nvidia") == DENIED

    def test_one_that_asks_for_a_second_person_elsewhere_waits_for_them_too(self) -> None:
        asked = replace(GRANTED, needs_second=True)
        assert after(asked) == DENIED
        assert after(replace(asked, second="bob", confirmed_at=NOW - 1)).decision is ALLOW


@given(st.integers(0, 2**32))
def test_no_override_lifts_the_kill_switch_or_nonsense(seed: int) -> None:
    """With every override there could be, what remains refused is exactly what is firm."""
    for role, action, contour, context in requests(seed, 5):
        everything = [
            replace(BOTH, id=f"{a}@{c}", contour=c, target=a)
            for a in [*sorted(ACTIONS), action]
            for c in [*CONTOURS, contour]
        ]
        answer = decide(Principal(role), action, contour, context)
        lifted = apply_override(answer, everything, action, contour, NOW)
        decision, rule = reference(role, action, contour, context)
        firm = rule in FIRM
        assert (lifted.decision is ALLOW) is not firm
        if decision is ALLOW:
            assert lifted == answer
    engaged = {**GOOD, "kill_switch": True, "evaluation": "FAIL"}
    refused = decide(LOOP, "promote", "local", engaged)
    assert apply_override(refused, [GRANTED], "promote", "local", NOW).rule == "kill-switch"


ASKED: dict[str, Any] = {
    "kind": "policy",
    "contour": "edge-oracle",
    "target": "promote",
    "threshold": None,
    "actor": "ann",
    "reason": "the fix cannot wait",
    "expires_at": NOW + DAY,
    "at": NOW,
}
GATE = {**ASKED, "kind": "gate", "target": "ndcg_at_10", "threshold": 0.7}


class TestAsking:
    def test_what_is_complete_is_accepted(self) -> None:
        assert faults(**ASKED) == []
        assert faults(**GATE) == []
        assert faults(**{**ASKED, "expires_at": NOW + MOST_S}) == []
        check_override(GRANTED, NOW)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("reason", None),
            ("reason", ""),
            ("reason", " \t"),
            ("reason", "x" * 501),
            ("reason", "two\nlines"),
            ("reason", "\x1b[2J"),
            ("expires_at", None),
            ("expires_at", NOW),
            ("expires_at", NOW - 1),
            ("expires_at", NOW + MOST_S + 1),
            ("expires_at", math.nan),
            ("expires_at", math.inf),
            ("actor", ""),
            ("actor", "  "),
            ("kind", "policies"),
            ("contour", "mars"),
            ("contour", "all"),
            ("target", "deploy"),
            ("target", ""),
            ("threshold", 0.7),
        ],
    )
    def test_what_is_wrong_is_named(self, field: str, value: Any) -> None:
        assert [fault.field for fault in faults(**{**ASKED, field: value})] == [field]

    @pytest.mark.parametrize("value", [None, math.nan, math.inf])
    def test_a_gates_floor_is_a_number(self, value: Any) -> None:
        assert [f.field for f in faults(**{**GATE, "threshold": value})] == ["threshold"]

    def test_all_that_is_missing_is_named_at_once(self) -> None:
        empty = {**ASKED, "reason": None, "expires_at": None}
        assert [fault.field for fault in faults(**empty)] == ["reason", "expires_at"]

    @pytest.mark.parametrize(
        ("changes", "names"),
        [
            ({"reason": ""}, "reason is required"),
            ({"expires_at": NOW}, "expires_at lies in the future"),
            ({"contour": "compute-nvidia"}, "needs_second holds on compute-nvidia"),
        ],
    )
    def test_one_that_was_built_wrong_is_refused(self, changes: Any, names: str) -> None:
        with pytest.raises(InputError, match=names):
            check_override(replace(GRANTED, **changes), NOW)


def test_what_is_firm_is_what_no_person_can_mean() -> None:
    assert {"kill-switch", MALFORMED, UNKNOWN} == FIRM

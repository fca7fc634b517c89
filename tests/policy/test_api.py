"""Who may do what through the admin API: every cell of the table, and every kind of token."""

from __future__ import annotations

from itertools import product

import pytest

from predator.domain.governance import EVERYWHERE, Role
from predator.policy.api import GLOBAL, TABLE, may
from predator.policy.decision import CONTOURS

V, O, P, A, G = Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN, Role.AGENT  # noqa: E741

EXPECTED = {
    "read": {V, O, P, A, G},
    "read_metrics": {V, O, P, A},
    "request_cycle": {O, A, G},
    "cancel_cycle": {O, A},
    "start": {O, A},
    "stop": {O, P, A},
    "rollback": {O, A},
    "keep": {O, A},
    "approve": {P, A},
    "confirm_override": {P, A},
    "revoke_override": {O, P, A},
    "override_gate": {A},
    "override_policy": {A},
    "set_flag": {A},
    "manage_tokens": {A},
}


@pytest.mark.parametrize(("operation", "role"), list(product(EXPECTED, Role)))
def test_every_cell(operation: str, role: Role) -> None:
    allowed = role in EXPECTED[operation]
    for contour in (*CONTOURS, EVERYWHERE):
        assert may(role, frozenset(), operation, contour) is allowed
        limited = allowed and contour == "local" and operation not in GLOBAL
        assert may(role, {"local"}, operation, contour) is limited
    assert may(role, frozenset(), operation) is allowed
    assert not may(role, frozenset(), operation, "mars")
    assert not may(role, {"mars"}, operation, "mars")


def test_the_table_has_no_other_operation() -> None:
    assert {name: set(roles) for name, roles in TABLE.items()} == EXPECTED


@pytest.mark.parametrize("operation", ["", "READ", "delete", "read ", "*"])
def test_an_unknown_operation_is_refused(operation: str) -> None:
    assert not any(may(role, frozenset(), operation) for role in Role)


def test_what_asks_is_not_what_answers() -> None:
    """Only an admin holds both halves; what an admin overrides in production needs another."""
    asking = {"start", "rollback", "keep", "request_cycle", "cancel_cycle"}
    answering = {"approve", "confirm_override"}
    for role in set(Role) - {A}:
        held = {name for name, roles in TABLE.items() if role in roles}
        assert not (held & asking and held & answering)


def test_an_agent_only_reads_and_proposes() -> None:
    assert {name for name, roles in TABLE.items() if G in roles} == {"read", "request_cycle"}


def test_a_viewer_changes_nothing() -> None:
    assert {name for name, roles in TABLE.items() if V in roles} == {"read", "read_metrics"}


def test_a_token_of_one_contour_cannot_make_a_wider_one() -> None:
    assert {"manage_tokens"} == GLOBAL
    for contour in (*CONTOURS, EVERYWHERE):
        assert not may(A, set(CONTOURS), "manage_tokens", contour)

"""Who may call what: every route, every role, every state of a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from predator.domain.governance import Role
from tests.edge.api.requests_of import HOME, REQUESTS, routes
from tests.edge.api.served import Served

V, D, P, A, G = Role.VIEWER, Role.OPERATOR, Role.APPROVER, Role.ADMIN, Role.AGENT
READERS = {V, D, P, A, G}

MAY: dict[tuple[str, str], set[Role]] = {
    ("POST", "/stop"): {D, P, A},
    ("POST", "/start"): {D, A},
    ("GET", "/state"): READERS,
    ("POST", "/rollback"): {D, A},
    ("GET", "/rollbacks/{rollback_id}"): READERS,
    ("GET", "/quality-gates"): READERS,
    ("POST", "/quality-gates/{gate}"): {A},
    ("GET", "/cycles"): READERS,
    ("POST", "/cycles"): {D, A, G},
    ("GET", "/cycles/{cycle_id}"): READERS,
    ("POST", "/cycles/{cycle_id}/cancel"): {D, A},
    ("POST", "/cycles/{cycle_id}/keep"): {D, A},
    ("GET", "/keeps/{keep_id}"): READERS,
    ("GET", "/cycles/{cycle_id}/artifacts"): READERS,
    ("GET", "/cycles/{cycle_id}/artifacts/{path:path}"): READERS,
    ("GET", "/approvals"): READERS,
    ("POST", "/approvals/{approval_id}/approve"): {P, A},
    ("POST", "/approvals/{approval_id}/reject"): {P, A},
    ("GET", "/overrides"): READERS,
    ("POST", "/overrides"): {A},
    ("POST", "/overrides/{override_id}/confirm"): {P, A},
    ("POST", "/overrides/{override_id}/revoke"): {D, P, A},
    ("GET", "/flags"): READERS,
    ("GET", "/flags/{environment}/{name}"): READERS,
    ("PUT", "/flags/{environment}/{name}"): {A},
    ("DELETE", "/flags/{environment}/{name}"): {A},
    ("GET", "/policy/explain"): READERS,
    ("GET", "/audit"): READERS,
    ("GET", "/audit/{cycle_id}"): READERS,
    ("GET", "/releases"): READERS,
    ("GET", "/experiments"): READERS,
    ("GET", "/experiments/{cycle_id}"): READERS,
    ("GET", "/tokens"): {A},
    ("POST", "/tokens"): {A},
    ("DELETE", "/tokens/{token_id}"): {A},
    ("GET", "/metrics"): {V, D, P, A},
}
OPEN = {("GET", "/healthz"), ("GET", "/readyz")}
EVERYWHERE = {
    ("GET", "/audit"),
    ("GET", "/tokens"),
    ("POST", "/tokens"),
    ("DELETE", "/tokens/{token_id}"),
    ("GET", "/metrics"),
}
"""Those that a token limited to some contours never has."""

STATES = ("everywhere", "here", "elsewhere", "expired", "revoked", "unknown", "none")


def expected(route: tuple[str, str], role: Role, state: str) -> int:
    """200 for any success."""
    if route in OPEN:
        return 200
    if state in {"expired", "revoked", "unknown", "none"}:
        return 401
    if role not in MAY[route] or state == "elsewhere" or (state == "here" and route in EVERYWHERE):
        return 403
    return 200


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("matrix"))
    served.world.leave_cycle()
    served.world.publish("v1.0")
    with served.client:
        yield served


def headers(served: Served, role: Role, state: str) -> dict[str, str]:
    world = served.world
    match state:
        case "none":
            return {}
        case "unknown":
            secret = "prd_" + "A" * 43
        case "here":
            secret = world.token(role, HOME)
        case "elsewhere":
            secret = world.token(role, "edge-oracle")
        case _:
            lasts_s = -1.0 if state == "expired" else 86_400.0
            secret = world.token(role, lasts_s=lasts_s, revoked=state == "revoked")
    return {"Authorization": f"Bearer {secret}"}


def test_every_route_has_a_row_and_every_row_a_route(served: Served) -> None:
    assert routes(served.app) == set(REQUESTS) == set(MAY) | OPEN


@pytest.mark.parametrize("route", sorted(REQUESTS), ids=" ".join)
def test_each_role_with_each_token_gets_what_the_table_says(
    served: Served, route: tuple[str, str]
) -> None:
    world = served.world
    prefix = "" if route in OPEN or route[1] == "/metrics" else "/api/v1/optimizer"
    wrong: list[Any] = []
    cells = 0
    for role in Role:
        for state in STATES:
            path, body = REQUESTS[route](world)
            given = headers(served, role, state)
            before = len(world.journal())
            answer = served.client.request(route[0], prefix + path, json=body, headers=given)
            got = 200 if answer.is_success else answer.status_code
            wanted = expected(route, role, state)
            quiet = got == 200 or len(world.journal()) == before
            asks = got != 401 or answer.headers["www-authenticate"].startswith("Bearer")
            if got != wanted or not quiet or not asks:
                wrong.append((role, state, wanted, answer.status_code, answer.text[:200]))
            cells += 1
    assert wrong == []
    assert cells == len(Role) * len(STATES)


def test_a_token_of_one_contour_does_not_act_everywhere(tmp_path: Path) -> None:
    served = Served(tmp_path)
    secret = served.world.token(Role.ADMIN, HOME)
    assert served.post("/stop", token=secret).status_code == 403
    assert served.world.stop_row("all") is None
    body = {"enabled": True, "reason": "x"}
    put = served.call("PUT", "/flags/all/ab_testing", body, token=secret)
    assert put.status_code == 403

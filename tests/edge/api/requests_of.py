"""A request that works, for every route: what a caller with the right token would send."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from predator.domain.governance import Override
from predator.edge.api.guard import PREFIX
from tests.loop.operator_world import CYCLE, DAY, World

HOME = "local"
"""The contour that the requests are about."""

Sent = tuple[str, dict[str, Any] | None]
_numbers = itertools.count(1)


def override(world: World, contour: str = HOME) -> Override:
    """A granted override that waits for its second person."""
    return world.desk.overrides.add(
        Override(
            id=f"ov-test-{next(_numbers)}",
            contour=contour,
            kind="policy",
            target="promote",
            threshold=None,
            actor="zoe",
            reason="needed",
            created_at=world.now,
            expires_at=world.now + DAY,
            needs_second=True,
        )
    )


def cycle(world: World) -> str:
    number = next(_numbers)
    return world.desk.cycles.open(f"test-{number}", HOME, {"type": "ndcg_drop"}, world.now)


def token_id(world: World) -> str:
    world.token()
    return world.desk.tokens.list()[-1].id


def rollback(world: World) -> str:
    return world.operator.rollback(HOME, "v1.0", actor="zoe", reason="x")


def ended(world: World) -> str:
    cycle_id = cycle(world)
    world.desk.cycles.finish(cycle_id, "success", world.now)
    return cycle_id


def keep(world: World) -> str:
    return world.operator.keep(ended(world), actor="zoe", reason="x")


def flag(world: World) -> str:
    world.operator.set_flag("ab_testing", HOME, True, actor="zoe", reason="x")
    return "ab_testing"


BECAUSE = {"reason": "because"}

REQUESTS: Mapping[tuple[str, str], Callable[[World], Sent]] = {
    ("POST", "/stop"): lambda w: ("/stop", {"contour": HOME}),
    ("POST", "/start"): lambda w: ("/start", {"contour": HOME, **BECAUSE}),
    ("GET", "/state"): lambda w: (f"/state?contour={HOME}", None),
    ("POST", "/rollback"): lambda w: ("/rollback", {"environment": HOME, "to_version": "v2.0"}),
    ("GET", "/rollbacks/{rollback_id}"): lambda w: (f"/rollbacks/{rollback(w)}", None),
    ("GET", "/quality-gates"): lambda w: (f"/quality-gates?contour={HOME}", None),
    ("POST", "/quality-gates/{gate}"): lambda w: (
        "/quality-gates/ndcg_at_10?threshold=0.70",
        {"contour": HOME, "expires_at": w.now + DAY, **BECAUSE},
    ),
    ("GET", "/cycles"): lambda w: (f"/cycles?contour={HOME}", None),
    ("POST", "/cycles"): lambda w: ("/cycles", {"contour": HOME, **BECAUSE}),
    ("GET", "/cycles/{cycle_id}"): lambda w: (f"/cycles/{CYCLE}", None),
    ("POST", "/cycles/{cycle_id}/cancel"): lambda w: (f"/cycles/{cycle(w)}/cancel", BECAUSE),
    ("POST", "/cycles/{cycle_id}/keep"): lambda w: (f"/cycles/{ended(w)}/keep", BECAUSE),
    ("GET", "/keeps/{keep_id}"): lambda w: (f"/keeps/{keep(w)}", None),
    ("GET", "/cycles/{cycle_id}/artifacts"): lambda w: (f"/cycles/{CYCLE}/artifacts", None),
    ("GET", "/cycles/{cycle_id}/artifacts/{path:path}"): lambda w: (
        f"/cycles/{CYCLE}/artifacts/model/release.json",
        None,
    ),
    ("GET", "/approvals"): lambda w: (f"/approvals?contour={HOME}", None),
    ("POST", "/approvals/{approval_id}/approve"): lambda w: (
        f"/approvals/{w.ask(HOME).id}/approve",
        BECAUSE,
    ),
    ("POST", "/approvals/{approval_id}/reject"): lambda w: (
        f"/approvals/{w.ask(HOME).id}/reject",
        BECAUSE,
    ),
    ("GET", "/overrides"): lambda w: (f"/overrides?contour={HOME}", None),
    ("POST", "/overrides"): lambda w: (
        "/overrides",
        {"contour": HOME, "action": "promote", "expires_at": w.now + DAY, **BECAUSE},
    ),
    ("POST", "/overrides/{override_id}/confirm"): lambda w: (
        f"/overrides/{override(w).id}/confirm",
        None,
    ),
    ("POST", "/overrides/{override_id}/revoke"): lambda w: (
        f"/overrides/{override(w).id}/revoke",
        None,
    ),
    ("GET", "/flags"): lambda w: (f"/flags?contour={HOME}", None),
    ("GET", "/flags/{environment}/{name}"): lambda w: (f"/flags/{HOME}/{flag(w)}", None),
    ("PUT", "/flags/{environment}/{name}"): lambda w: (
        f"/flags/{HOME}/ab_testing",
        {"enabled": True, "metadata": {"split_ratio": 0.2}, **BECAUSE},
    ),
    ("DELETE", "/flags/{environment}/{name}"): lambda w: (
        f"/flags/{HOME}/{flag(w)}?reason=because",
        None,
    ),
    ("GET", "/policy/explain"): lambda w: (f"/policy/explain?action=promote&contour={HOME}", None),
    ("GET", "/audit"): lambda w: ("/audit", None),
    ("GET", "/audit/{cycle_id}"): lambda w: (f"/audit/{CYCLE}", None),
    ("GET", "/releases"): lambda w: (f"/releases?contour={HOME}", None),
    ("GET", "/experiments"): lambda w: (f"/experiments?contour={HOME}", None),
    ("GET", "/experiments/{cycle_id}"): lambda w: (f"/experiments/{CYCLE}", None),
    ("GET", "/tokens"): lambda w: ("/tokens", None),
    ("POST", "/tokens"): lambda w: (
        "/tokens",
        {"holder": "eve", "role": "viewer", "contours": [HOME], "expires_at": w.now + DAY},
    ),
    ("DELETE", "/tokens/{token_id}"): lambda w: (f"/tokens/{token_id(w)}", None),
    ("GET", "/healthz"): lambda w: ("/healthz", None),
    ("GET", "/readyz"): lambda w: ("/readyz", None),
    ("GET", "/metrics"): lambda w: ("/metrics", None),
}


def routes(app: Any) -> set[tuple[str, str]]:
    """Method and path of every route, the prefix left out."""
    return {
        (method, route.path.removeprefix(PREFIX))
        for route in app.state.routes
        for method in route.methods or ()
    }

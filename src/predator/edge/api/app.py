"""The admin API as one application, on a port of its own; search does not need it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from predator import __version__
from predator.domain.governance import EVERYWHERE
from predator.edge.api import problems
from predator.edge.api.callers import Authenticator
from predator.edge.api.envelope import Envelope
from predator.edge.api.guard import ApiLimits, Guard, GuardedRoute
from predator.edge.api.metrics import LoopMetrics
from predator.edge.api.routers import (
    approvals,
    audit,
    cycles,
    flags,
    gates,
    operations,
    overrides,
    policy,
    releases,
    rollbacks,
    switch,
    tokens,
)
from predator.loop.operator.service import Operator
from predator.ports.replies import Replies
from predator.search.serving.limits import BodyLimit

NOUNS = (
    switch, rollbacks, gates, cycles, approvals, overrides, flags, policy, audit, releases, tokens,
)  # fmt: skip

_PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}
_KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "the same key with the same request is one act, answered once",
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
}


def create_admin_app(
    operator: Operator,
    authenticator: Authenticator,
    replies: Replies,
    limits: ApiLimits | None = None,
    metrics: LoopMetrics | None = None,
    *,
    steady: Callable[[], float] = time.monotonic,
    new_id: Callable[[], str] = lambda: secrets.token_hex(8),
) -> FastAPI:
    """The application. ``steady`` is a clock that never goes back (s), for the rates.

    It holds no state of its own but rates and counts: several may serve one database.
    ``app.state.routes`` lists every route.
    """
    limits = limits or ApiLimits()
    metrics = metrics or LoopMetrics(operator)
    app = FastAPI(
        title="Predator admin",
        version=__version__,
        description="Stop, start, look at, approve and roll back the self-improvement loop.",
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.guard = Guard(
        authenticator,
        replies,
        operator.desk.contours,
        limits,
        now=operator.desk.clock.now,
        steady=steady,
    )
    routers = [noun.router(operator) for noun in NOUNS]
    routers += [operations.public_router(operator), operations.metrics_router(metrics)]
    for router in routers:
        app.include_router(router)
    routes = [route for router in routers for route in router.routes if isinstance(route, APIRoute)]
    app.state.routes = routes
    problems.add_handlers(app)
    app.add_middleware(BodyLimit, default=limits.body_bytes, routes={})
    # The last one added is outermost.
    app.add_middleware(Envelope, new_id=new_id, count=metrics.count)
    app.openapi = lambda: _described(app, routes, operator.desk.contours)  # type: ignore[method-assign]
    return app


def _described(app: FastAPI, routes: Sequence[APIRoute], contours: Iterable[str]) -> dict[str, Any]:
    """The OpenAPI description, with what the guard does and the media type of problems."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        schema["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "prd_…"}
        }
        guarded = {
            (route.path_format, method.lower())
            for route in routes
            if isinstance(route, GuardedRoute)
            for method in route.methods or ()
        }
        for path, item in schema["paths"].items():
            for method, operation in item.items():
                _describe(operation, method, (path, method) in guarded)
        _name_contours(schema, list(contours))
        app.openapi_schema = schema
    return app.openapi_schema


def _describe(operation: dict[str, Any], method: str, guarded: bool) -> None:
    if guarded:
        operation["security"] = [{"bearer": []}]
        if method != "get":
            operation.setdefault("parameters", []).append(_KEY_PARAMETER)
    else:
        operation["responses"].pop("422", None)
    for response in operation["responses"].values():
        content = response.get("content", {})
        if content.get("application/json", {}).get("schema") == _PROBLEM_REF:
            content[problems.PROBLEM] = content.pop("application/json")


def _name_contours(schema: dict[str, Any], contours: list[str]) -> None:
    """Say which contours there are, wherever one is asked for."""
    choice = {"type": "string", "enum": [*contours, EVERYWHERE]}
    for item in schema["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] in {"contour", "environment"}:
                    parameter["schema"] = choice
    for name in ("Stop", "Start", "Rollback", "GateException", "PolicyException", "CycleRequest"):
        for field, wanted in schema["components"]["schemas"][name]["properties"].items():
            if field in {"contour", "environment"}:
                wanted.update(choice)
    contours_of = schema["components"]["schemas"]["TokenRequest"]["properties"]["contours"]
    contours_of["items"] = {"type": "string", "enum": contours}

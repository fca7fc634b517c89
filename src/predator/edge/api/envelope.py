"""Around every answer: a request id, security headers, one log line, a count, and no leak."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from predator.edge.api.guard import cycle_in, token_of
from predator.edge.api.problems import problem
from predator.journal.logs import bound, failure, log

HEADERS: Mapping[str, str] = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

Count = Callable[[str, str, int], None]


class Envelope:
    """The outermost layer. ``count(method, route, status)`` is called once a request."""

    def __init__(self, app: ASGIApp, new_id: Callable[[], str], count: Count) -> None:
        self._app, self._new_id, self._count = app, new_id, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._new_id()
        scope["request_id"] = request_id
        started = time.monotonic()
        status = 0

        async def wrapped(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                extra = {**HEADERS, "x-request-id": request_id}
                message["headers"] = [
                    *message.get("headers", []),
                    *((name.encode(), value.encode()) for name, value in extra.items()),
                ]
            await send(message)

        with bound(request_id=request_id):
            try:
                await self._app(scope, receive, wrapped)
            except Exception as error:
                log("request_failed", level="error", **failure(error))
                if status:
                    raise
                detail = f"something went wrong here; the log has it under {request_id}"
                await problem(request_id, 500, detail)(scope, receive, wrapped)
            finally:
                route = route_of(scope)
                self._count(method_of(scope), route, status)
                log(
                    "request",
                    method=method_of(scope),
                    route=route,
                    status=status,
                    took_ms=round((time.monotonic() - started) * 1000, 1),
                    **_caller(scope),
                )


def route_of(scope: Scope) -> str:
    """The template of the route; paths that nobody serves share one name."""
    return str(getattr(scope.get("route"), "path", None) or "other")


def method_of(scope: Scope) -> str:
    """The method; those that nobody serves share one name."""
    method = str(scope.get("method"))
    return method if method in {"GET", "HEAD", "POST", "PUT", "DELETE"} else "other"


def _caller(scope: Scope) -> dict[str, str]:
    found = cycle_in(scope)
    token = token_of(scope)
    if token is not None:
        found |= {"actor": token.actor, "access": token.id, "role": str(token.role)}
    return found

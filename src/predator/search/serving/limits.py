"""ASGI middleware: bodies have a limit, and every answer is counted."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from predator.search.serving.instruments import Instruments


class BodyLimit:
    """Answers 413 as soon as a body is longer than its route allows."""

    def __init__(self, app: ASGIApp, default: int, routes: Mapping[str, int]) -> None:
        self._app, self._default, self._routes = app, default, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._routes.get(scope["path"], self._default)
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        # Python refuses to read a number of thousands of digits.
        if not declared.isdigit() or int(declared[:20]) > limit:
            await _refuse(send, limit)
            return
        seen = 0
        started = False

        async def limited() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise _TooLargeError
            return message

        async def answered(message: Message) -> None:
            nonlocal started
            # Frameworks turn a failing receive into an answer of their own: it is dropped.
            if started or seen <= limit:
                started = True
                await send(message)

        try:
            await self._app(scope, limited, answered)
        except _TooLargeError:
            if started:
                raise
        if seen > limit and not started:
            await _refuse(send, limit)


class _TooLargeError(Exception):
    """More bytes came than the route allows."""


async def _refuse(send: Send, limit: int) -> None:
    body = json.dumps(
        {
            "type": "about:blank",
            "title": "The body is too large",
            "status": 413,
            "detail": f"at most {limit} bytes are taken here; send less at a time",
        }
    ).encode()
    await send(
        {
            "type": "http.response.start",
            "status": 413,
            "headers": [
                (b"content-type", b"application/problem+json"),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


class Counting:
    """Counts answers by route and status; unknown paths share one label."""

    ROUTES = frozenset(
        {"/search", "/events", "/feedback", "/documents", "/healthz", "/readyz", "/metrics"}
    )

    def __init__(self, app: ASGIApp, instruments: Instruments) -> None:
        self._app, self._instruments = app, instruments

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = scope["path"] if scope["path"] in self.ROUTES else "other"
            self._instruments.requests.labels(route, str(status)).inc()

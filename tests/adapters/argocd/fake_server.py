"""The fake Argo CD behind HTTP: tokens, roles, refusals, and a check by Argo CD's swagger."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from tests.adapters.argocd.fake_argocd import FakeArgo, Refusal
from tests.adapters.argocd.swagger import Swagger

ROLES = {"a" * 40: ("loop", {"get", "sync", "update"}), "v" * 40: ("viewer", {"get"})}
LOOP_TOKEN, VIEWER_TOKEN = ROLES


class ArgoServer:
    """``app`` to serve; ``problems``: what the swagger does not know, ``calls``: what was asked."""

    def __init__(self, argo: FakeArgo, swagger: Swagger | None) -> None:
        self.argo, self._swagger = argo, swagger
        self.problems: list[str] = []
        self.calls: list[str] = []
        self.app = FastAPI(openapi_url=None)
        self.app.add_api_route("/{path:path}", self._handle, methods=["GET", "POST", "PATCH",
                                                                      "PUT", "DELETE"])  # fmt: skip

    async def _handle(self, request: Request) -> Response:
        path, query, body = request.url.path, request.url.query, await request.body()
        self.calls.append(f"{request.method} {path}{'?' * bool(query)}{query}")
        if self._swagger is not None:
            self.problems += self._swagger.request(request.method, path, query, body)
        try:
            if self.argo.down > 0:
                self.argo.down -= 1
                raise Refusal(14, "the server is shutting down")
            user, actions = self._who(request)
            if path == "/api/v1/stream/applications":
                return StreamingResponse(self._stream(), media_type="application/json")
            value = await run_in_threadpool(self._answer, request, body, user, actions)
            answer = JSONResponse(value)
        except Refusal as refusal:
            said = {"error": refusal.message, "code": refusal.code, "message": refusal.message}
            answer = JSONResponse(said, refusal.status)
        if self._swagger is not None:
            content = bytes(answer.body)
            self.problems += self._swagger.answer(request.method, path, answer.status_code, content)
        return answer

    def _answer(self, request: Request, body: bytes, user: str, actions: set[str]) -> Any:
        given: dict[str, Any] = json.loads(body) if body else {}
        app, below = self._split(request.url.path)
        project = given.get("project") or request.query_params.get("project")
        verb: dict[tuple[str, str], tuple[str, Callable[[], Any]]] = {
            ("GET", ""): ("get", lambda: self.argo.get(request.query_params.get("refresh"))),
            ("GET", "syncwindows"): ("get", self.argo.windows),
            ("POST", "sync"): ("sync", lambda: self.argo.sync(given, user)),
            ("POST", "rollback"): ("sync", lambda: self.argo.roll_back(given, user)),
            ("DELETE", "operation"): ("sync", self.argo.terminate),
            ("PATCH", ""): ("update", lambda: self.argo.patch(given)),
        }
        if (request.method, below) not in verb:
            raise Refusal(5, "Not Found")
        action, work = verb[request.method, below]
        self._allow(app, project, action, user, actions)
        return work()

    def _allow(
        self, app: str, project: str | None, action: str, user: str, actions: set[str]
    ) -> None:
        there = app == self.argo.name
        if not there and project is None:
            raise Refusal(7, "permission denied")
        if not there or project not in (None, self.argo.project):
            raise Refusal(5, f'applications.argoproj.io "{app}" not found')
        if action not in actions:
            place = f"{self.argo.project}/{app}"
            raise Refusal(7, f"permission denied: applications, {action}, {place}, sub: {user}")

    async def _stream(self) -> AsyncIterator[bytes]:
        seen, kind = -1, "ADDED"
        while True:
            if self.argo.version != seen:
                seen = self.argo.version
                found = await run_in_threadpool(self.argo.application)
                line = json.dumps({"result": {"type": kind, "application": found}}).encode() + b"\n"
                if self._swagger is not None:
                    path = "/api/v1/stream/applications"
                    self.problems += self._swagger.answer("GET", path, 200, line)
                yield line
                kind = "MODIFIED"
            await asyncio.sleep(0.01)

    @staticmethod
    def _who(request: Request) -> tuple[str, set[str]]:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in ROLES:
            raise Refusal(16, "invalid session: token is not valid")
        return ROLES[token]

    @staticmethod
    def _split(path: str) -> tuple[str, str]:
        rest = path.removeprefix("/api/v1/applications/")
        if rest == path:
            raise Refusal(5, "Not Found")
        app, _, below = rest.partition("/")
        return app, below

"""The admin API over a world of memory stores, and how tests call it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from predator.edge.api.app import create_admin_app
from predator.edge.api.callers import Authenticator
from predator.edge.api.guard import PREFIX, ApiLimits
from tests.loop.operator_world import World

GENEROUS = ApiLimits(
    requests_per_s=1e9, requests_burst=10**9, refused_per_s=1e9, refused_burst=10**9
)


def app_of(world: World, limits: ApiLimits = GENEROUS, **more: Any) -> FastAPI:
    authenticator = Authenticator(world.desk.tokens, world.clock.now)
    return create_admin_app(world.operator, authenticator, world.replies, limits, **more)


class Served:
    """A client with an admin's token."""

    def __init__(
        self,
        folder: Path,
        limits: ApiLimits = GENEROUS,
        *,
        world: World | None = None,
        **more: Any,
    ) -> None:
        self.world = world or World(folder)
        self.app = app_of(self.world, limits, **more)
        self.client = TestClient(self.app, raise_server_exceptions=True)
        self.secret = self.world.token(actor="ann")

    def call(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        token: str | None = None,
        key: str | None = None,
        **more: Any,
    ) -> Any:
        headers = {"Authorization": f"Bearer {self.secret if token is None else token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        headers |= more.pop("headers", {})
        where = path if path in {"/healthz", "/readyz", "/metrics"} else PREFIX + path
        return self.client.request(method, where, json=json, headers=headers, **more)

    def get(self, path: str, **more: Any) -> Any:
        return self.call("GET", path, **more)

    def post(self, path: str, json: Any = None, **more: Any) -> Any:
        return self.call("POST", path, json, **more)

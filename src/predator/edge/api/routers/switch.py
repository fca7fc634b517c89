"""Stop, start, and how a contour stands."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request

from predator.edge.api.callers import Who
from predator.edge.api.guard import Guard, guarded
from predator.edge.api.responses import errors
from predator.edge.api.schemas import Contour, Start, Stop
from predator.loop.operator.service import Operator, Switched
from predator.loop.operator.views import State


def router(operator: Operator) -> APIRouter:
    routes = guarded("switch")

    @routes.post("/stop", responses=errors(404))
    async def stop(
        request: Request, who: Who, body: Annotated[Stop | None, Body()] = None
    ) -> Switched:
        """Engage the kill switch; answered once it is durable. Never throttled."""
        wanted = body or Stop()  # type: ignore[call-arg]
        who.on(wanted.contour)
        guard: Guard = request.app.state.guard
        return await guard.work(
            "stop", lambda: operator.stop(wanted.contour, actor=who.actor, reason=wanted.reason)
        )

    @routes.post("/start", responses=errors(404))
    def start(who: Who, body: Start) -> Switched:
        """Disengage the kill switch. A row for `all` outweighs the start of one contour."""
        return operator.start(who.on(body.contour), actor=who.actor, reason=body.reason)

    @routes.get("/state", responses=errors(404))
    def state(who: Who, contour: Contour) -> State:
        """Kill switch, flags, live release, running cycles, pending approvals, limits used."""
        return operator.state(who.on(contour))

    return routes

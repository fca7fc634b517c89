"""Quality gates and the exceptions to them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from predator.domain.governance import Override
from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.pages import Cursor, Limit, Page, page
from predator.edge.api.responses import errors
from predator.edge.api.schemas import Contour, GateException, Id
from predator.loop.operator.service import Operator
from predator.policy.gates import Gate

Threshold = Annotated[float, Query(allow_inf_nan=False, description="the floor meanwhile")]


def router(operator: Operator) -> APIRouter:
    routes = guarded("quality gates")

    @routes.get("/quality-gates", responses=errors(404))
    def gates(who: Who, contour: Contour, limit: Limit = 50, cursor: Cursor = None) -> Page[Gate]:
        """The gates of a contour as they count now; `override_id` names what set the floor."""
        found = operator.gates(who.on(contour))
        return page(found, lambda gate: (gate.name,), limit, cursor, newest_first=False)

    @routes.post("/quality-gates/{gate}", status_code=201, responses=errors(404))
    def override_gate(who: Who, gate: Id, threshold: Threshold, body: GateException) -> Override:
        """Set the floor of a gate until `expires_at`. On production contours it counts once a
        second person has confirmed it."""
        return operator.override_gate(
            who.on(body.contour),
            gate,
            threshold,
            reason=body.reason,
            expires_at=body.expires_at,
            actor=who.actor,
            key=who.key,
        )

    return routes

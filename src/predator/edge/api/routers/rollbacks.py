"""The way back to a release that was live."""

from __future__ import annotations

from fastapi import APIRouter

from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.responses import errors
from predator.edge.api.schemas import Accepted, Id, Rollback
from predator.loop.operator.service import NO_REASON, Operator
from predator.ports.runtime import FlowStatus


def router(operator: Operator) -> APIRouter:
    routes = guarded("rollback")

    @routes.post("/rollback", status_code=202, responses=errors(404))
    def rollback(who: Who, body: Rollback) -> Accepted:
        """Roll an environment back; allowed while the kill switch is engaged."""
        flow_id = operator.rollback(
            who.on(body.environment),
            body.to_version,
            actor=who.actor,
            reason=body.reason.strip() or NO_REASON,
            key=who.key,
        )
        return Accepted(id=flow_id)

    @routes.get("/rollbacks/{rollback_id}", responses=errors(404))
    def rollback_status(who: Who, rollback_id: Id) -> FlowStatus:
        """How far a rollback is."""
        who.on(operator.rollback_contour(rollback_id))
        return operator.rollback_status(rollback_id)

    return routes

"""Requests that wait for a person."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from predator.domain.governance import Approval
from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.pages import Cursor, Limit, Page, page
from predator.edge.api.responses import errors
from predator.edge.api.schemas import Because, Contour, Id
from predator.loop.operator.governance import Answered
from predator.loop.operator.service import Operator

Pending = Annotated[bool, Query(description="only those not answered yet")]


def router(operator: Operator) -> APIRouter:
    routes = guarded("approvals")

    @routes.get("/approvals", responses=errors(404))
    def approvals(
        who: Who,
        contour: Contour,
        pending: Pending = False,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Page[Approval]:
        """Requests for approval, newest first."""
        found = operator.approvals(who.on(contour), pending=pending)
        return page(found, lambda asked: (asked.requested_at, asked.id), limit, cursor)

    @routes.post("/approvals/{approval_id}/approve", responses=errors(404, 409))
    def approve(who: Who, approval_id: Id, body: Because) -> Answered:
        """Say yes. Nobody approves what they asked for themselves."""
        who.on(operator.approval(approval_id).contour)
        return operator.approve(approval_id, actor=who.actor, reason=body.reason)

    @routes.post("/approvals/{approval_id}/reject", responses=errors(404, 409))
    def reject(who: Who, approval_id: Id, body: Because) -> Answered:
        """Say no."""
        who.on(operator.approval(approval_id).contour)
        return operator.reject(approval_id, actor=who.actor, reason=body.reason)

    return routes

"""Cycles and what they left."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from predator.domain.errors import InputError
from predator.domain.governance import CycleEntry
from predator.domain.ids import is_cycle_id
from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.pages import Cursor, Limit, Page
from predator.edge.api.responses import Responses, errors
from predator.edge.api.schemas import (
    Accepted,
    ArtifactList,
    Asked,
    Because,
    Contour,
    CycleId,
    CycleRequest,
    Id,
)
from predator.loop.operator.cycles import CycleDetail
from predator.loop.operator.service import Operator
from predator.ports.runtime import FlowStatus

_BYTES: Responses = {
    200: {
        "description": "The bytes of the file",
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
FilePath = Annotated[str, Path(min_length=1, max_length=500)]


def router(operator: Operator) -> APIRouter:
    routes = guarded("cycles")

    @routes.get("/cycles", responses=errors(404))
    def cycles(
        who: Who, contour: Contour, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[CycleEntry]:
        """Cycles in the register, newest first."""
        if cursor is not None and not is_cycle_id(cursor):
            raise InputError("cursor is not one of this list", cure="Use `next` of the page before")
        found = list(operator.cycles(who.on(contour), limit=limit + 1, before=cursor))
        more = len(found) > limit
        return Page(items=found[:limit], next=found[limit - 1].cycle_id if more else None)

    @routes.post("/cycles", status_code=202, responses=errors(404))
    def request_cycle(who: Who, body: CycleRequest) -> Accepted:
        """Ask for a cycle. Policy and limits are asked by the cycle, before each effect."""
        cycle_id = operator.request_cycle(
            who.on(body.contour), actor=who.actor, reason=body.reason, key=who.key
        )
        return Accepted(id=cycle_id)

    @routes.get("/cycles/{cycle_id}", responses=errors(404))
    def cycle(who: Who, cycle_id: CycleId) -> CycleDetail:
        """A cycle: register, flow, files, and whether its audit is sound."""
        who.on(operator.cycle_entry(cycle_id).contour)
        return operator.cycle(cycle_id)

    @routes.post("/cycles/{cycle_id}/cancel", status_code=202, responses=errors(404, 409))
    def cancel_cycle(who: Who, cycle_id: CycleId, body: Because) -> Asked:
        """Ask a cycle to stop. What it gave to users it takes back itself."""
        who.on(operator.cycle_entry(cycle_id).contour)
        asked = operator.cancel_cycle(cycle_id, actor=who.actor, reason=body.reason)
        return Asked(cycle_id=cycle_id, asked=asked)

    @routes.post("/cycles/{cycle_id}/keep", status_code=202, responses=errors(404, 409))
    def keep(who: Who, cycle_id: CycleId, body: Because) -> Accepted:
        """Keep the release of a cycle whose watch could not judge it."""
        who.on(operator.cycle_entry(cycle_id).contour)
        flow_id = operator.keep(cycle_id, actor=who.actor, reason=body.reason, key=who.key)
        return Accepted(id=flow_id)

    @routes.get("/keeps/{keep_id}", responses=errors(404))
    def keep_status(who: Who, keep_id: Id) -> FlowStatus:
        """How far the keeping of a release is."""
        who.on(operator.keep_contour(keep_id))
        return operator.keep_status(keep_id)

    @routes.get("/cycles/{cycle_id}/artifacts", responses=errors(404))
    def artifacts(who: Who, cycle_id: CycleId) -> ArtifactList:
        """Names of the files that a cycle left."""
        who.on(operator.cycle_entry(cycle_id).contour)
        return ArtifactList(cycle_id=cycle_id, artifacts=list(operator.artifacts(cycle_id)))

    @routes.get(
        "/cycles/{cycle_id}/artifacts/{path:path}",
        responses={**errors(404), **_BYTES},
        response_class=Response,
    )
    def artifact(who: Who, cycle_id: CycleId, path: FilePath) -> Response:
        """The bytes of one file, always as a download."""
        who.on(operator.cycle_entry(cycle_id).contour)
        return Response(
            operator.artifact(cycle_id, path),
            media_type="application/octet-stream",
            headers={"Content-Disposition": "attachment"},
        )

    return routes

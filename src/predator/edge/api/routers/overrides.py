"""Exceptions to gates and to policy: granted, confirmed, revoked."""

from __future__ import annotations

from fastapi import APIRouter

from predator.domain.governance import Override
from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.pages import Cursor, Limit, Page, page
from predator.edge.api.responses import errors
from predator.edge.api.schemas import Contour, Id, PolicyException
from predator.loop.operator.service import Operator


def router(operator: Operator) -> APIRouter:
    routes = guarded("overrides")

    @routes.get("/overrides", responses=errors(404))
    def overrides(
        who: Who, contour: Contour, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[Override]:
        """Every override that was granted, newest first, whatever became of it."""
        found = operator.overrides(who.on(contour))
        return page(found, lambda granted: (granted.created_at, granted.id), limit, cursor)

    @routes.post("/overrides", status_code=201, responses=errors(404))
    def override_policy(who: Who, body: PolicyException) -> Override:
        """Let an action pass until `expires_at` although policy says DENY or NEEDS_APPROVAL."""
        return operator.override_policy(
            who.on(body.contour),
            body.action,
            reason=body.reason,
            expires_at=body.expires_at,
            actor=who.actor,
            key=who.key,
        )

    @routes.post("/overrides/{override_id}/confirm", responses=errors(404, 409))
    def confirm_override(who: Who, override_id: Id) -> Override:
        """The second person's word, without which it does not count on production contours."""
        who.on(operator.override(override_id).contour)
        return operator.confirm_override(override_id, actor=who.actor)

    @routes.post("/overrides/{override_id}/revoke", responses=errors(404))
    def revoke_override(who: Who, override_id: Id) -> Override:
        """End an override now."""
        who.on(operator.override(override_id).contour)
        return operator.revoke_override(override_id, actor=who.actor)

    return routes

"""The record of what was done, checked as it is read."""

from __future__ import annotations

from fastapi import APIRouter

from predator.domain.governance import EVERYWHERE
from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.responses import errors
from predator.edge.api.schemas import CycleId
from predator.journal.chain import VerifyResult
from predator.loop.operator.cycles import AuditTrail
from predator.loop.operator.service import Operator


def router(operator: Operator) -> APIRouter:
    routes = guarded("audit")

    @routes.get("/audit", responses=errors(404))
    def audit_verify(who: Who) -> dict[str, VerifyResult]:
        """Check every journal: each cycle's by its id, and that of the `operators`."""
        who.on(EVERYWHERE)
        return dict(operator.audit_verify())

    @routes.get("/audit/{cycle_id}", responses=errors(404))
    def audit(who: Who, cycle_id: CycleId) -> AuditTrail:
        """The sound records of a cycle; `verified` says whether that is all of them."""
        who.on(operator.cycle_entry(cycle_id).contour)
        return operator.audit(cycle_id)

    return routes

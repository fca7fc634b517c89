"""Why policy says what it says."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.responses import errors
from predator.edge.api.schemas import Contour
from predator.loop.operator.service import Operator
from predator.policy.explain import Explanation

Action = Annotated[str, Query(min_length=1, max_length=60, description="such as `promote`")]
AsRole = Annotated[str, Query(min_length=1, max_length=60, description="such as `loop`")]


def router(operator: Operator) -> APIRouter:
    routes = guarded("policy")

    @routes.get("/policy/explain", responses=errors(404))
    def explain_policy(
        who: Who, action: Action, contour: Contour, role: AsRole = "loop"
    ) -> Explanation:
        """What policy says now, and by which rule. What only a cycle knows counts as missing."""
        return operator.policy_explain(action, who.on(contour), role)

    return routes

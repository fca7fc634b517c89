"""Rows of the feature flags."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query

from predator.domain.governance import Flag
from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.pages import Cursor, Limit, Page, page
from predator.edge.api.responses import errors
from predator.edge.api.schemas import Contour, FlagValue, Removed
from predator.loop.operator.service import Operator

FlagName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Environment = Annotated[str, Path(max_length=60, description="a contour, or `all`")]
Why = Annotated[str, Query(min_length=1, max_length=500, pattern=r"^[^\x00]*[^\s\x00][^\x00]*$")]


def router(operator: Operator) -> APIRouter:
    routes = guarded("flags")

    @routes.get("/flags", responses=errors(404))
    def flags(who: Who, contour: Contour, limit: Limit = 50, cursor: Cursor = None) -> Page[Flag]:
        """The rows of a contour and those for `all`."""
        found = operator.flags(who.on(contour))
        return page(
            found, lambda row: (row.name, row.environment), limit, cursor, newest_first=False
        )

    @routes.get("/flags/{environment}/{name}", responses=errors(404))
    def flag(who: Who, environment: Environment, name: FlagName) -> Flag:
        """One row."""
        return operator.flag(name, who.on(environment))

    @routes.put("/flags/{environment}/{name}", responses=errors(404))
    def set_flag(who: Who, environment: Environment, name: FlagName, body: FlagValue) -> Flag:
        """Set a row; the loop reads it before its next effect."""
        return operator.set_flag(
            name,
            who.on(environment),
            body.enabled,
            body.metadata,
            actor=who.actor,
            reason=body.reason,
        )

    @routes.delete("/flags/{environment}/{name}", responses=errors(404))
    def remove_flag(who: Who, environment: Environment, name: FlagName, reason: Why) -> Removed:
        """Take a row away: the contour's own settings count again."""
        removed = operator.remove_flag(name, who.on(environment), actor=who.actor, reason=reason)
        return Removed(removed=removed)

    return routes

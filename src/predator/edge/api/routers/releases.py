"""What was live, and what was tried on users."""

from __future__ import annotations

from fastapi import APIRouter

from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.pages import Cursor, Limit, Page, page
from predator.edge.api.responses import errors
from predator.edge.api.schemas import Contour, CycleId
from predator.loop.experiment.view import ExperimentView
from predator.loop.operator.service import Operator
from predator.loop.operator.views import Experiments, ReleaseEntry


def router(operator: Operator) -> APIRouter:
    routes = guarded("releases")

    @routes.get("/releases", responses=errors(404))
    def releases(
        who: Who, contour: Contour, limit: Limit = 50, cursor: Cursor = None
    ) -> Page[ReleaseEntry]:
        """Releases that went live, by the commits that did it, newest first."""
        found = operator.releases(who.on(contour))
        return page(found, lambda entry: (entry.number,), limit, cursor)

    @routes.get("/experiments", responses=errors(404))
    def experiments(who: Who, contour: Contour) -> Experiments:
        """The experiments that run, by git, and what past ones found."""
        return operator.experiments(who.on(contour))

    @routes.get("/experiments/{cycle_id}", responses=errors(404))
    def experiment(who: Who, cycle_id: CycleId) -> ExperimentView:
        """The experiment of one cycle: plan, looks, arms, metrics, verdict and its reason."""
        who.on(operator.cycle_entry(cycle_id).contour)
        return operator.experiment(cycle_id)

    return routes

"""Is it alive, is it ready, what does it count."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from predator.domain.errors import PredatorError
from predator.domain.governance import EVERYWHERE
from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.metrics import LoopMetrics
from predator.edge.api.responses import Responses, errors
from predator.edge.api.schemas import Health, Readiness
from predator.loop.operator.service import Operator

_TEXT: Responses = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


def public_router(operator: Operator) -> APIRouter:
    """What a supervisor asks, without a token."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/healthz")
    async def healthz() -> Health:
        """The process is alive."""
        return Health(status="ok")

    @routes.get("/readyz", responses={503: {"model": Readiness}})
    def readyz(response: Response) -> Readiness:
        """The flags can be read, so a stop would work; 503 before that."""
        parts: dict[str, str] = {}
        checks: dict[str, Callable[[], object]] = {
            "flags": operator.desk.flags.rows,
            "cycles": lambda: operator.desk.cycles.list(limit=1),
            "flows": lambda: operator.desk.flows.list(limit=1),
        }
        for name, check in checks.items():
            try:
                check()
                parts[name] = "ok"
            except PredatorError:
                parts[name] = "cannot be read"
        ready = parts["flags"] == "ok"
        response.status_code = 200 if ready else 503
        return Readiness(ready=ready, parts=parts)

    return routes


def metrics_router(metrics: LoopMetrics) -> APIRouter:
    """Prometheus text, for a scraper with a token."""
    routes = guarded("operations", prefix="")

    @routes.get("/metrics", responses={**errors(), **_TEXT}, response_class=Response)
    def read_metrics(who: Who) -> Response:
        """Prometheus metrics of the loop."""
        who.on(EVERYWHERE)
        return Response(metrics.expose(), media_type="text/plain; version=0.0.4")

    return routes

"""The HTTP face of the platform."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from anyio.to_thread import current_default_thread_limiter
from fastapi import Body, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from predator import __version__
from predator.domain.errors import PredatorError
from predator.search.serving.limits import BodyLimit, Counting
from predator.search.serving.platform import Platform
from predator.search.serving.schemas import (
    Accepted,
    Event,
    Flip,
    NewDocument,
    Problem,
    Rating,
    Readiness,
    SearchRequest,
    SearchResponse,
)

REQUEST_THREADS = 4
"""Requests worked on at once: search is CPU work, and more threads only take turns more often."""

_PROBLEMS: dict[int | str, dict[str, object]] = {
    413: {"model": Problem, "description": "The body is too large"},
    422: {"model": Problem, "description": "The request cannot be used as it is"},
    503: {"model": Problem, "description": "No release is live yet"},
}


def create_app(platform: Platform, control_token: str | None = None) -> FastAPI:
    """The application; ``control_token`` opens ``/control``, which is absent without one."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = REQUEST_THREADS
        await run_in_threadpool(platform.start)
        yield
        await run_in_threadpool(platform.close)

    app = FastAPI(
        title="Predator search",
        version=__version__,
        description="Search that records what it answered and follows its GitOps repository.",
        lifespan=lifespan,
    )
    app.add_middleware(Counting, instruments=platform.instruments)
    app.add_middleware(BodyLimit, default=256 * 1024, routes={"/documents": 16 * 1024 * 1024})
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PredatorError, _refused)

    @app.post("/search", responses=_PROBLEMS, tags=["search"])
    def search(request: SearchRequest) -> SearchResponse:
        """Find documents. The answer's ``query_id`` ties later events to it."""
        platform.routing  # noqa: B018 - answers 503 before any work while nothing is live
        return platform.search(request)

    @app.post("/events", status_code=202, responses=_PROBLEMS, tags=["feedback"])
    async def events(
        batch: Annotated[list[Event], Body(min_length=1, max_length=1000)],
    ) -> Accepted:
        """Take UBI 1.3 events, all or none; acknowledged once they are on disk."""
        future = platform.accept_events(batch)
        await asyncio.wrap_future(future)
        return Accepted(accepted=len(batch))

    @app.post("/feedback", status_code=202, responses=_PROBLEMS, tags=["feedback"])
    async def feedback(rating: Rating) -> Accepted:
        """Take a 1–5 rating of one search."""
        await asyncio.wrap_future(platform.accept_rating(rating))
        return Accepted(accepted=1)

    @app.post("/documents", status_code=202, responses=_PROBLEMS, tags=["documents"])
    def documents(
        batch: Annotated[list[NewDocument], Body(min_length=1, max_length=5000)],
    ) -> Accepted:
        """Queue documents; they are found lexically at once and by meaning a little later."""
        return Accepted(accepted=platform.accept_documents(batch))

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @app.get("/readyz", responses={503: {"model": Readiness}}, tags=["operations"])
    async def readyz(response: Response) -> Readiness:
        """A release is loaded and answers; 503 before that."""
        state = platform.readiness()
        response.status_code = 200 if state.ready else 503
        return state

    @app.get("/metrics", tags=["operations"], response_class=Response)
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(platform.expose_metrics(), media_type="text/plain; version=0.0.4")

    if control_token is not None:

        @app.post("/control/flip", responses={401: {"model": Problem}}, tags=["operations"])
        def flip(body: Flip, authorization: Annotated[str, Header()] = "") -> Readiness:
            """Send all traffic to a loaded release now, ahead of git."""
            if not hmac.compare_digest(authorization.encode(), f"Bearer {control_token}".encode()):
                raise _UnauthorisedError("the control token is missing or wrong")
            platform.flip(body.release)
            return platform.readiness()

    return app


class _UnauthorisedError(PredatorError):
    pass


async def _invalid(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    detail = f"{where}: {first['msg']}" if where else str(first["msg"])
    return problem(422, "The request cannot be used as it is", detail)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, _UnauthorisedError):
        return problem(401, "Not authorised", str(error))
    if request.url.path == "/search":
        return problem(503, "Not ready", str(error))
    return problem(422, "The request cannot be used as it is", str(error))


def problem(status: int, title: str, detail: str) -> JSONResponse:
    """RFC 9457 problem details."""
    return JSONResponse(
        {"type": "about:blank", "title": title, "status": status, "detail": detail},
        status_code=status,
        media_type="application/problem+json",
    )

"""The HTTP face of the platform."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import Body, Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from predator import __version__
from predator.domain.errors import PredatorError
from predator.search.serving.limits import BodyLimit, Counting
from predator.search.serving.platform import Platform
from predator.search.serving.schemas import (
    Accepted,
    Event,
    Flip,
    Health,
    NewDocument,
    Problem,
    Rating,
    Readiness,
    SearchRequest,
    SearchResponse,
)

REQUEST_THREADS = 4
"""Requests worked on at once: search is CPU work, and more threads only take turns more often."""
PROBLEM = "application/problem+json"
MOST_DETAIL = 300
_PROBLEM_REF = {"$ref": "#/components/schemas/Problem"}

Responses = dict[int | str, dict[str, Any]]

_BAD: Responses = {
    413: {"model": Problem, "description": "The body is too large"},
    422: {"model": Problem, "description": "The request cannot be used as it is"},
}
_NOT_LIVE: Responses = {503: {"model": Problem, "description": "No release is live yet"}}
_CLOSED: Responses = {401: {"model": Problem, "description": "The token is missing or wrong"}}
_TEXT: Responses = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


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
    app.add_middleware(BodyLimit, default=256 * 1024, routes={"/documents": 16 * 1024 * 1024})
    app.add_middleware(
        Counting, instruments=platform.instruments
    )  # the last one added is outermost
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PredatorError, _refused)
    app.add_exception_handler(HTTPException, _no_route)
    app.add_exception_handler(Exception, _broken)

    @app.post("/search", responses={**_BAD, **_NOT_LIVE}, tags=["search"])
    def search(request: SearchRequest) -> SearchResponse:
        """Find documents. The answer's ``query_id`` ties later events to it."""
        platform.routing  # noqa: B018 - answers 503 before any work while nothing is live
        return platform.search(request)

    @app.post("/events", status_code=202, responses=_BAD, tags=["feedback"])
    async def events(
        batch: Annotated[list[Event], Body(min_length=1, max_length=1000)],
    ) -> Accepted:
        """Take UBI 1.3 events, all or none; acknowledged once they are on disk."""
        await asyncio.wrap_future(platform.recorder.events(batch))
        return Accepted(accepted=len(batch))

    @app.post("/feedback", status_code=202, responses=_BAD, tags=["feedback"])
    async def feedback(rating: Rating) -> Accepted:
        """Take a 1–5 rating of one search."""
        await asyncio.wrap_future(platform.recorder.rating(rating))
        return Accepted(accepted=1)

    @app.post("/documents", status_code=202, responses=_BAD, tags=["documents"])
    def documents(
        batch: Annotated[list[NewDocument], Body(min_length=1, max_length=5000)],
    ) -> Accepted:
        """Queue documents; they are found lexically at once and by meaning a little later."""
        return Accepted(accepted=platform.accept_documents(batch))

    @app.get("/healthz", tags=["operations"])
    async def healthz() -> Health:
        """The process is alive."""
        return Health()

    @app.get("/readyz", responses={503: {"model": Readiness}}, tags=["operations"])
    async def readyz(response: Response) -> Readiness:
        """A release is loaded and answers; 503 before that."""
        state = platform.readiness()
        response.status_code = 200 if state.ready else 503
        return state

    @app.get("/metrics", responses=_TEXT, tags=["operations"], response_class=Response)
    async def metrics() -> Response:
        """Prometheus metrics."""
        return Response(platform.expose_metrics(), media_type="text/plain; version=0.0.4")

    if control_token is not None:
        expected = f"Bearer {control_token}".encode()

        def authorised(authorization: Annotated[str, Header()] = "") -> None:
            if not hmac.compare_digest(authorization.encode(), expected):
                raise _UnauthorisedError("the control token is missing or wrong")

        @app.post(
            "/control/flip",
            responses={**_CLOSED, **_BAD},
            tags=["operations"],
            dependencies=[Depends(authorised)],
        )
        def flip(body: Flip) -> Readiness:
            """Send all traffic to a loaded release now, ahead of git."""
            platform.flip(body.release)
            return platform.readiness()

    app.openapi = lambda: _with_problems(app)  # type: ignore[method-assign]
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


async def _no_route(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    # Beside unknown paths and methods: bodies that the JSON parser refuses to look at.
    status = 422 if error.status_code == 400 else error.status_code
    return problem(status, HTTPStatus(status).phrase, str(error.detail), error.headers)


async def _broken(_request: Request, _error: Exception) -> JSONResponse:
    return problem(500, "Internal error", "something went wrong here; it is in the server's log")


def problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """RFC 9457 problem details; ``detail`` becomes one line, whatever a client put into it."""
    line = "".join(c if c.isprintable() else " " for c in detail)
    line = " ".join(line.split())
    return JSONResponse(
        {
            "type": "about:blank",
            "title": title,
            "status": status,
            "detail": line if len(line) <= MOST_DETAIL else f"{line[:MOST_DETAIL]}…",
        },
        status_code=status,
        media_type=PROBLEM,
        headers=dict(headers or {}),
    )


def _with_problems(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI description, where errors have the media type that they are sent with."""
    if app.openapi_schema is None:
        schema = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        for path in schema["paths"].values():
            for operation in path.values():
                for response in operation["responses"].values():
                    content = response.get("content", {})
                    if content.get("application/json", {}).get("schema") == _PROBLEM_REF:
                        content[PROBLEM] = content.pop("application/json")
        app.openapi_schema = schema
    return app.openapi_schema

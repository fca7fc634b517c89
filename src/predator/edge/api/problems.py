"""Errors as RFC 9457 problem details, and nothing in them that was not meant for the caller."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from predator.domain.errors import ConflictError, InputError, PolicyDenied, PredatorError
from predator.journal.logs import clean, log
from predator.loop.operator.desk import NotFoundError

PROBLEM = "application/problem+json"
MOST_DETAIL = 300

TITLES = {
    401: "Not authenticated",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "The body is too large",
    422: "The request cannot be used as it is",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available",
}


class Problem(BaseModel):
    """RFC 9457. ``detail`` is one line; ``instance`` names the request in the logs."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    instance: str


class UnauthenticatedError(PredatorError):
    """Nobody, or a token that opens nothing."""


class ForbiddenError(PredatorError):
    """Somebody who may not do this here."""


class TooManyError(PredatorError):
    """Too often; try again after ``wait_s``."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s
        super().__init__("too many requests", cure=f"Try again in {max(1, round(wait_s))} s")


def problem(
    request_id: str, status: int, detail: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """A problem response; ``detail`` becomes one printable line without secrets."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(clean(detail))).split())
    return JSONResponse(
        {
            "type": "about:blank",
            "title": TITLES.get(status) or HTTPStatus(status).phrase,
            "status": status,
            "detail": line if len(line) <= MOST_DETAIL else f"{line[:MOST_DETAIL]}…",
            "instance": f"urn:predator:request:{request_id}",
        },
        status_code=status,
        media_type=PROBLEM,
        headers=dict(headers or {}),
    )


def add_handlers(app: FastAPI) -> None:
    """Every error that a handler or the framework raises becomes a problem."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(PredatorError, _refused)
    app.add_exception_handler(HTTPException, _no_route)


def _id(request: Request) -> str:
    return str(request.scope.get("request_id", "unknown"))


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    if place == ["body"] and first["type"] == "missing":
        return problem(_id(request), 422, f"the body is missing; it needs {_needed(request)}")
    where = ".".join(place[1:] if len(place) > 1 else place)
    return problem(_id(request), 422, f"{where}: {first['msg']}")


def _needed(request: Request) -> str:
    route: Any = request.scope.get("route")
    field = route.body_field if isinstance(route, APIRoute) else None
    model: Any = field.field_info.annotation if field is not None else None
    fields: Mapping[str, Any] = getattr(model, "model_fields", {})
    return ", ".join(name for name, info in fields.items() if info.is_required()) or "a JSON object"


async def _refused(request: Request, error: Exception) -> JSONResponse:
    headers: dict[str, str] = {}
    match error:
        case UnauthenticatedError():
            status = 401
            headers["WWW-Authenticate"] = 'Bearer realm="predator"'
        case ForbiddenError() | PolicyDenied():
            status = 403
        case NotFoundError():
            status = 404
        case ConflictError():
            status = 409
        case InputError():
            status = 422
        case TooManyError():
            status = 429
            headers["Retry-After"] = str(max(1, round(error.wait_s)))
        case _:
            log("unavailable", level="error", error=f"{type(error).__name__}: {error}")
            status = 503
    return problem(_id(request), status, str(error), headers)


async def _no_route(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type alone
    # Beside unknown paths and methods: bodies that the JSON parser refuses to look at.
    status = 422 if error.status_code == 400 else error.status_code
    return problem(_id(request), status, str(error.detail), error.headers)

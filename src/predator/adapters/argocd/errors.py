"""What Argo CD refuses, told apart by what helps against it."""

from __future__ import annotations

import json
from typing import Any

from predator.domain.errors import InputError, PredatorError
from predator.journal.redact import redact

MOST_TEXT = 300
"""Characters of a message of Argo CD that an error repeats."""

_FAILED_PRECONDITION = 9


class UnreachableError(PredatorError):
    """No whole answer came. Another try may get one."""


class BusyError(PredatorError):
    """One operation at a time: another one is under way."""


class WindowError(PredatorError):
    """A sync window keeps the application as it is for now."""


def said(text: object) -> str:
    """What a cluster says, as one line that holds no secret and no control character."""
    plain = "".join(char if char.isprintable() else " " for char in str(text))
    return " ".join(str(redact(plain)).split())[:MOST_TEXT]


def refusal(status: int, body: bytes, verb: str, app: str, project: str) -> PredatorError:
    """The error for an answer other than 200 to ``verb`` on ``app``.

    The codes are gRPC's, as its gateway maps them: 400 FailedPrecondition (or InvalidArgument),
    401 Unauthenticated, 403 PermissionDenied, 404 NotFound. Without the query ``project`` a
    missing application would be a 403 too.
    """
    code, message = _read(body)
    place = f"the application {app} of the project {project}"
    match status:
        case 401:
            return InputError(
                "Argo CD did not accept the token",
                cure="Make a new one and put it where argocd_token says",
            )
        case 403 if "sync window" in message:
            return WindowError(f"Argo CD did not {verb} {app}: {message}")
        case 403:
            return InputError(
                f"Argo CD does not let this token {verb} {place}",
                cure="Give its role what docs/argocd.md lists, or another application",
            )
        case 404:
            return InputError(
                f"Argo CD does not know {place}", cure="Set argocd_app and argocd_project"
            )
        case 400 if code == _FAILED_PRECONDITION and "already in progress" in message:
            return BusyError(f"Argo CD did not {verb} {app}: {message}")
        case 429 | 500 | 502 | 503 | 504:
            return UnreachableError(f"Argo CD could not {verb} {app}: HTTP {status} {message}")
        case status if 300 <= status < 400:
            return InputError(
                "Argo CD answers with a redirect, which is not followed",
                cure="Set argocd_url to where it leads",
            )
    return PredatorError(f"Argo CD did not {verb} {app}: HTTP {status} {message}")


def _read(body: bytes) -> tuple[int, str]:
    """Code and message of ``{"error", "code", "message", "details"}``; blanks where it is none."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return 0, ""
    if not isinstance(value, dict):
        return 0, ""
    code = value.get("code")
    return (code if type(code) is int else 0), said(value.get("message") or value.get("error", ""))

"""Errors that a person reads: one line that names the cause, one that names the cure."""

from __future__ import annotations


class PredatorError(Exception):
    """Something went wrong that the user can act on.

    ``str(error)`` is one line: the cause, then the cure where there is one.
    """

    exit_code = 1

    def __init__(self, cause: str, *, cure: str | None = None) -> None:
        self.cause = " ".join(cause.split())
        self.cure = " ".join(cure.split()) if cure else None
        super().__init__(f"{self.cause}. {self.cure}" if self.cure else self.cause)


class InputError(PredatorError):
    """What the user gave cannot be used (a file, a setting, an argument)."""

    exit_code = 2


class IntegrityError(PredatorError):
    """Bytes are not what their hash promised. They are refused before any parse."""


class ConflictError(PredatorError):
    """Somebody else moved first (a non-fast-forward push). The writer's view is stale."""


class PolicyDenied(PredatorError):  # noqa: N818 - the decision is called DENY
    """The decision point did not allow an effect."""

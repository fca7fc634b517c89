"""A failing database, told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from predator.domain.errors import PredatorError
from predator.journal.redact import redact


@contextmanager
def told(url: str, timeout_s: float) -> Iterator[None]:
    """Turn the driver's errors into ``PredatorError``; ``url`` is one without a password."""
    try:
        yield
    except SQLAlchemyError as error:
        orig = error.orig if isinstance(error, DBAPIError) else None
        said = str(orig or error).strip() or type(error).__name__
        if "database is locked" in said or getattr(orig, "sqlstate", None) == "55P03":
            raise PredatorError(
                f"the database {url} has been locked by another process for {timeout_s:g} s",
                cure="End the process that holds it, then run again",
            ) from error
        raise PredatorError(
            f"the database {url} failed: {redact(said.splitlines()[0])}",
            cure="See that it is there, has room and may be written",
        ) from error

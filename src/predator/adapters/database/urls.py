"""Which databases there are: one SQLite file, or a PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from predator.domain.errors import InputError

_CURE = "Use sqlite:////folder/optimizer.db or postgresql://user@host/name"


def parse(url: str) -> URL:
    """The URL with its driver named and a SQLite path made absolute; ``InputError`` otherwise.

    The URL may hold a password, so no error repeats it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise InputError("the database URL cannot be read", cure=_CURE) from None
    if parsed.drivername in {"postgresql", "postgres", "postgresql+psycopg"}:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise InputError("the database URL names no known kind of database", cure=_CURE)
    name = parsed.database or ""
    if not name or name.startswith((":", "file:")) or parsed.query or parsed.host:
        raise InputError("the database URL does not name a file", cure=_CURE)
    path = Path(name).expanduser().absolute()
    return URL.create("sqlite", database=str(path))

"""Overrides in the database."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, insert, select, update

from predator.adapters.database.engine import Database
from predator.adapters.database.tables import overrides
from predator.adapters.overrides.rules import checked, confirmed, revoked
from predator.domain.governance import Override

_NEWEST_FIRST = (overrides.c.created_at.desc(), overrides.c.number.desc())
_SCOPE = "overrides"


class SqlOverrides:
    """One row an override; none is ever deleted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, override: Override) -> Override:
        checked(override)
        with self._database.writing(_SCOPE) as connection:
            found = _find(connection, override.id)
            if found is None:
                connection.execute(insert(overrides).values(asdict(override)))
            return found or override

    def confirm(self, override_id: str, *, actor: str, at: float) -> Override:
        return self._change(override_id, lambda found: confirmed(found, override_id, actor, at))

    def revoke(self, override_id: str, *, actor: str, at: float) -> Override:
        return self._change(override_id, lambda found: revoked(found, override_id, actor, at))

    def list(self, contour: str | None = None) -> Sequence[Override]:
        query = select(overrides).order_by(*_NEWEST_FIRST)
        if contour is not None:
            query = query.where(overrides.c.contour == contour)
        with self._database.reading() as connection:
            return [_override(row) for row in connection.execute(query)]

    def _change(self, override_id: str, rule: Callable[[Override | None], Override]) -> Override:
        with self._database.writing(_SCOPE) as connection:
            found = _find(connection, override_id)
            after = rule(found)
            if after != found:
                row = overrides.c.id == override_id
                connection.execute(update(overrides).where(row).values(asdict(after)))
            return after


def _find(connection: Connection, override_id: str) -> Override | None:
    row = connection.execute(select(overrides).where(overrides.c.id == override_id)).first()
    return None if row is None else _override(row)


def _override(row: Any) -> Override:
    fields = dict(row._mapping)
    del fields["number"]
    return Override(**fields)

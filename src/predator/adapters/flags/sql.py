"""Flags as the table ``feature_flags`` (spec 6A.12), with a log of who changed them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from predator.adapters.database.engine import Database
from predator.adapters.database.tables import feature_flag_changes, feature_flags
from predator.adapters.database.values import object_from_json, to_json
from predator.adapters.flags.changes import FlagChange, change_of, removal_of
from predator.domain.errors import PredatorError
from predator.domain.governance import Flag

# Read before every effect, so in one statement without any compilation.
_ROWS = "SELECT flag_name, enabled, environment, CAST(metadata AS TEXT) FROM feature_flags"


class SqlFlags:
    """Every call reads the table anew: a flag counts from the moment it is committed.

    Rows may also come from plain SQL. One that cannot be understood fails the whole reading:
    nobody can say that it was not the kill switch.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self) -> Sequence[Flag]:
        with self._database.reading() as connection:
            found = connection.exec_driver_sql(_ROWS).fetchall()
        return sorted(map(_flag, found), key=lambda flag: (flag.name, flag.environment))

    def put(self, flag: Flag, *, actor: str, reason: str, at: float) -> None:
        change = change_of(flag, actor, reason, at)
        with self._database.writing("flags") as connection:
            _take_away(connection, flag.name, flag.environment)
            connection.execute(
                insert(feature_flags).values(
                    flag_name=flag.name,
                    enabled=flag.enabled,
                    environment=flag.environment,
                    metadata=change.metadata,
                )
            )
            _log(connection, change)

    def remove(self, name: str, environment: str, *, actor: str, reason: str, at: float) -> bool:
        change = removal_of(name, environment, actor, reason, at)
        with self._database.writing("flags") as connection:
            found = _take_away(connection, name, environment)
            if found:
                _log(connection, change)
            return found

    def changes(self, limit: int = 100) -> Sequence[FlagChange]:
        """Changes made through ``put`` and ``remove``, newest first."""
        table = feature_flag_changes
        query = select(table).order_by(table.c.number.desc()).limit(max(0, limit))
        with self._database.reading() as connection:
            return [
                FlagChange(
                    name=row.flag_name,
                    environment=row.environment,
                    enabled=row.enabled,
                    metadata=None if row.metadata is None else object_from_json(row.metadata),
                    actor=row.actor,
                    reason=row.reason,
                    at=row.at,
                )
                for row in connection.execute(query)
            ]


def _flag(row: Any) -> Flag:
    name, enabled, environment, metadata = row
    try:
        if enabled not in (0, 1) or not all(isinstance(x, str) for x in (name, environment)):
            raise ValueError("it is neither on nor off")
        return Flag(name, bool(enabled), environment, object_from_json(metadata))
    except (TypeError, ValueError, RecursionError) as error:
        raise PredatorError(
            f"the row of flag {name!r} for {environment!r} cannot be read: {error}",
            cure="Correct its metadata in feature_flags, or set the flag again",
        ) from None


def _take_away(connection: Connection, name: str, environment: str) -> bool:
    table = feature_flags
    row = (table.c.flag_name == name) & (table.c.environment == environment)
    return connection.execute(delete(table).where(row)).rowcount > 0


def _log(connection: Connection, change: FlagChange) -> None:
    connection.execute(
        insert(feature_flag_changes).values(
            at=change.at,
            actor=change.actor,
            reason=change.reason,
            flag_name=change.name,
            environment=change.environment,
            enabled=change.enabled,
            metadata=None if change.metadata is None else to_json(change.metadata),
        )
    )

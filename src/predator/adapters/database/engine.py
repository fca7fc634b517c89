"""One database behind all stores: reads that are fresh, writes that are alone.

Stores read what they need, decide in Python and write, in one transaction. That is only sound
if nobody else writes in between, so each write transaction is exclusive: SQLite takes its write
lock at the start (``BEGIN IMMEDIATE``), PostgreSQL an advisory lock on the scope's name. The same
code then holds on both, and a racer waits instead of failing.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, text

from predator.adapters.database import urls
from predator.adapters.database.failures import told
from predator.adapters.database.schema import HEAD, bring_to_head, current
from predator.adapters.database.values import to_json


class Database:
    """Connections to a database whose schema is the one this code knows."""

    head = HEAD
    """The newest schema revision this code knows."""

    def __init__(self, url: URL, *, busy_timeout_s: float) -> None:
        self._url = url
        self._busy_timeout_s = busy_timeout_s
        self.sqlite = url.get_backend_name() == "sqlite"
        self._engine = (
            _sqlite(url, busy_timeout_s) if self.sqlite else _postgres(url, busy_timeout_s)
        )
        self._reader = self._snapshots = self._engine
        if not self.sqlite:
            self._reader = self._engine.execution_options(isolation_level="AUTOCOMMIT")
            self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ")

    @property
    def url(self) -> str:
        """Where it is, without a password."""
        shown = self._url.difference_update_query(["password", "sslpassword"])
        return shown.render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The SQLite file; ``None`` for PostgreSQL."""
        return Path(self._url.database or "") if self.sqlite else None

    @property
    def current(self) -> str | None:
        """The schema revision the database has."""
        with self.reading() as connection:
            return current(connection)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection to read from, never from a cache; ``PredatorError`` where it fails."""
        with told(self.url, self._busy_timeout_s), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """As :meth:`reading`, for several statements that must see the same state."""
        with told(self.url, self._busy_timeout_s), self._snapshots.connect() as connection:
            yield connection

    @contextmanager
    def writing(self, scope: str) -> Iterator[Connection]:
        """A transaction that no other one of the same ``scope`` overlaps.

        Committed at the end, rolled back when the block raises. ``PredatorError`` where the
        database fails or stays locked; then nothing was changed.
        """
        with told(self.url, self._busy_timeout_s), self._engine.connect() as opened:
            connection = opened.execution_options(predator_writes=True)
            with connection.begin():
                if not self.sqlite:
                    connection.execute(_LOCK, {"key": _lock_key(scope)})
                yield connection

    def close(self) -> None:
        """Close all connections; the next use opens new ones."""
        self._engine.dispose()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_database(url: str, *, busy_timeout_s: float = 30.0) -> Database:
    """Open the database and bring its schema to head; safe when many do so at once.

    ``url`` is ``sqlite:////absolute/path`` (the file and its folder are made, for their owner
    only) or ``postgresql://…`` (the database exists). ``InputError`` for another URL,
    ``PredatorError`` where it cannot be opened or a newer Predator made its schema.
    """
    parsed = urls.parse(url)
    database = Database(parsed, busy_timeout_s=busy_timeout_s)
    try:
        with told(database.url, busy_timeout_s):
            bring_to_head(database._engine, database.file)
    except BaseException:
        database.close()
        raise
    return database


_LOCK = text("SELECT pg_advisory_xact_lock(:key)")


def _lock_key(scope: str) -> int:
    return int.from_bytes(hashlib.sha256(f"predator:{scope}".encode()).digest()[:8], signed=True)


def _sqlite(url: URL, busy_timeout_s: float) -> Engine:
    # isolation_level None: the driver starts no transaction by itself, _begin does.
    engine = create_engine(
        url,
        connect_args={"timeout": busy_timeout_s, "isolation_level": None},
        pool_size=4,
        max_overflow=60,
        hide_parameters=True,
        json_serializer=to_json,
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("predator_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres(url: URL, busy_timeout_s: float) -> Engine:
    # A stopped process must not hold a scope for ever: its idle transaction ends before the
    # others give up. READ COMMITTED: what is read after the lock is what its last holder wrote.
    lock_ms = int(busy_timeout_s * 1000)
    idle_ms = lock_ms * 2 // 3
    options = f"-c lock_timeout={lock_ms} -c idle_in_transaction_session_timeout={idle_ms}"
    given = url.query.get("options", "")
    return create_engine(
        url,
        connect_args={"connect_timeout": 10, "options": f"{options} {given}".strip()},
        isolation_level="READ COMMITTED",
        pool_size=4,
        max_overflow=60,
        pool_pre_ping=True,
        hide_parameters=True,
        json_serializer=to_json,
    )

"""The database of the runtime: opened the way DBOS needs it, with DBOS's tables in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from predator.domain.errors import InputError, PredatorError

if TYPE_CHECKING:
    from dbos import DBOSClient
    from sqlalchemy import Engine

APPLICATION = "predator"
VERSION = "1"
"""One version for ever: a recorded history replays on newer code (I26)."""

_BUSY_MS = 30_000
_IDLE_MS = 5_000


def open_engine(url: str, *, connections: int = 8, ping: bool = False) -> Engine:
    """An engine for ``sqlite:///FILE`` or ``postgresql://…``; ``InputError`` for anything else.

    ``ping``: try a pooled connection before each use, for who does not try again as workers do.
    """
    import sqlalchemy

    try:
        parsed = sqlalchemy.make_url(url)
    except sqlalchemy.exc.ArgumentError as error:
        raise InputError("the database's address is no URL", cure=_CURE) from error
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        _prepare_file(Path(str(parsed.database)))
        engine = sqlalchemy.create_engine(parsed, pool_size=connections)
        sqlalchemy.event.listen(engine, "connect", _on_sqlite)
        return engine
    if kind == "postgresql":
        engine = sqlalchemy.create_engine(
            parsed.set(drivername="postgresql+psycopg"), pool_size=connections, pool_pre_ping=ping
        )
        sqlalchemy.event.listen(engine, "connect", _on_postgres)
        return engine
    raise InputError(f"the runtime has no use for a {kind} database like this one", cure=_CURE)


_CURE = "Give sqlite:///FILE or postgresql://USER@HOST/NAME"


def _prepare_file(file: Path) -> None:
    """WAL, which stays with the file: readers and the writer do not wait for each other."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(file, timeout=_BUSY_MS / 1000)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
    except (OSError, sqlite3.Error) as error:
        raise InputError(f"the runtime's database {str(file)!r} cannot be used: {error}") from error


def _on_sqlite(connection: Any, _record: Any) -> None:
    # What DBOS sets on engines of its own: writers queue up instead of failing.
    connection.isolation_level = "IMMEDIATE"
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    connection.execute("PRAGMA foreign_keys = ON")


def _on_postgres(connection: Any, _record: Any) -> None:
    # A worker that was frozen within a transaction must not hold up who takes over from it.
    with connection.cursor() as cursor:
        cursor.execute(f"SET idle_in_transaction_session_timeout = {_IDLE_MS}")
    connection.commit()


def open_client(engine: Engine) -> DBOSClient:
    """DBOS's client on ``engine``, after its tables were made or brought up to date."""
    from dbos import DBOSClient

    from predator.adapters.runtime.serializer import JsonSerializer

    quiet()
    serializer: Any = JsonSerializer()
    with database_errors():
        client = DBOSClient(
            system_database_engine=engine,
            serializer=serializer,
            application_name=APPLICATION,
            retry_connection_errors=False,
        )
        _migrate(client._sys_db)
    return client


def _migrate(system: Any) -> None:
    from dbos._error import DBOSException

    # Workers listen for messages, which takes triggers that a client alone would not make.
    system.use_listen_notify = True
    try:
        system.verify_migrations()
    except DBOSException:
        system.run_migrations()
    finally:
        system.use_listen_notify = False


@contextmanager
def database_errors() -> Iterator[None]:
    """What the database refuses, as a ``PredatorError``."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except SQLAlchemyError as error:
        raise unusable(error) from error


def unusable(error: Exception) -> PredatorError:
    """A database error as one line, without the statement and its values."""
    reason = str(getattr(error, "orig", None) or error).strip().splitlines() or [""]
    return PredatorError(
        f"the runtime's database cannot be used: {reason[0]}",
        cure="See that it runs, and that its disk is not full",
    )


def quiet() -> None:
    """DBOS's log from warnings on, through the application's own logging."""
    import logging

    logger = logging.getLogger("dbos")
    for handler in [h for h in logger.handlers if h.name == "__dbos_console_log_handler__"]:
        logger.removeHandler(handler)
    logger.propagate = True
    logger.setLevel(logging.WARNING)

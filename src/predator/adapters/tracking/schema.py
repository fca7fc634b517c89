"""MLflow's database, made once and whole.

MLflow migrates an empty SQLite file through all its versions, with a sync to disk at each step, and
a start killed in the middle leaves half a schema behind. Here the same migrations run unsynced on
a file beside it, which is synced once and renamed into place.
"""

from __future__ import annotations

import fcntl
import logging
import os
import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from predator.domain.errors import InputError


def prepare_environment() -> None:
    """Set what MLflow reads at import; it must run before ``import mlflow``."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    # One connection a call: nothing stays open behind a fork or at exit.
    os.environ.setdefault("MLFLOW_SQLALCHEMYSTORE_POOLCLASS", "NullPool")


@contextmanager
def deprecations_ignored() -> Iterator[None]:
    """MLflow's mappings use what SQLAlchemy 2.1 deprecates; hide that while they are built."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def database_uri(database: Path) -> str:
    """The SQLAlchemy address of an absolute path, without a character that means more there."""
    if any(character in str(database) for character in "?#%"):
        raise InputError(
            f"the database path {str(database)!r} holds '?', '#' or '%'",
            cure="Choose a folder without them",
        )
    return f"sqlite:///{database}"


def check_database(database: Path) -> None:
    """Raise ``InputError`` where ``database`` exists and SQLite cannot read it.

    MLflow would try such a file ten times over a minute and a half.
    """
    if database.is_dir():
        raise InputError(f"the tracking database {str(database)!r} is a folder")
    if not database.exists():
        return
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        raise InputError(f"the tracking database {str(database)!r}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise InputError(
            f"the tracking database {str(database)!r} is not a whole SQLite file",
            cure="Move it away and a new one is made",
        ) from error


@contextmanager
def exclusive(database: Path) -> Iterator[None]:
    """Hold the one lock of ``database`` between processes; the kernel drops it with its owner."""
    with database.with_name(f".{database.name}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def create_schema(database: Path, artifacts_uri: str) -> None:
    """Make ``database`` with the newest schema unless it is there. Call it under ``exclusive``."""
    if database.exists() and database.stat().st_size:
        return
    import sqlalchemy
    from mlflow.store.db import utils
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    migrate: Any = utils._initialize_tables
    open_store: Any = SqlAlchemyStore
    fresh = database.with_name(f".{database.name}.new")
    for leftover in database.parent.glob(f".{database.name}.new*"):
        leftover.unlink()
    engine = sqlalchemy.create_engine(database_uri(fresh), poolclass=sqlalchemy.pool.NullPool)
    sqlalchemy.event.listen(engine, "connect", _without_sync)
    with _quiet("mlflow.store.db.utils", "alembic"):
        migrate(engine)
        engine.dispose()
        # Opening it once gives MLflow's default experiment a place under our artifacts, not in
        # the working folder.
        open_store(database_uri(fresh), artifacts_uri)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(database)


def _without_sync(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA journal_mode = MEMORY")


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

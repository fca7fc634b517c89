"""The schema's revisions, by Alembic: brought to head at the first opening, under a lock."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from predator.domain.errors import PredatorError
from predator.locks import file_lock

HEAD = "0005"
"""The newest revision in ``migrations/versions``; kept here so that opening needs no Alembic."""

VERSION_TABLE = "predator_schema_version"
MIGRATIONS = Path(__file__).parent / "migrations"

_LOCK_TIMEOUT_S = 60.0
_LOCK_KEY = 7_077_431_904


def current(connection: Connection) -> str | None:
    """The revision the database has; ``None`` for a database without our tables."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return None if found is None else str(found)


def bring_to_head(engine: Engine, file: Path | None) -> None:
    """Upgrade the schema where it is older; ``PredatorError`` where it is newer."""
    if file is not None:
        _make_file(file)
    with engine.connect() as connection:
        if current(connection) == HEAD:
            return
    with _alone(engine, file) as connection:
        upgrade(connection, "head")


def upgrade(connection: Connection, revision: str) -> None:
    """Run the migrations up to ``revision`` in the connection's transaction."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    found = current(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise PredatorError(
            f"the database has schema {found}, and this version of Predator knows only {HEAD}",
            cure="Install the newer version, or restore a backup from before its upgrade",
        )
    command.upgrade(config, revision)


@contextmanager
def _alone(engine: Engine, file: Path | None) -> Iterator[Connection]:
    if file is None:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            yield connection
        return
    lock = os.open(file.with_name(f"{file.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        with file_lock(lock, f"the database {file}", timeout_s=_LOCK_TIMEOUT_S):
            # Journal mode cannot change inside a transaction; it stays with the file.
            raw = engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA journal_mode = WAL")
            finally:
                raw.close()
            with engine.connect() as connection:
                writer = connection.execution_options(predator_writes=True)
                with writer.begin():
                    yield writer
    finally:
        os.close(lock)


def _make_file(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise PredatorError(
            f"the database {file} cannot be opened: {error.strerror}",
            cure="Name a file that may be written",
        ) from error

"""Workers that share a database: who is alive, and whose flows are taken over.

A worker beats; one whose beat is older than its lease counts as gone, and its running flows go
back to their queue. Ownership itself is DBOS's: it changes with one statement in the row of the
flow, so that there is one taker whoever asks, and a worker that wakes up late finds it changed.
"""

from __future__ import annotations

import fcntl
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from predator.adapters.runtime.database import VERSION
from predator.domain.errors import ConflictError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

SCHEMA = "runtime"


class Leases:
    """The table ``workers`` (schema ``runtime``) of PostgreSQL, ``runtime_workers`` of SQLite."""

    def __init__(self, engine: Engine, executor_id: str, lease_s: float) -> None:
        self.engine, self.executor_id, self._lease_s = engine, executor_id, lease_s
        self._table = make_table(engine)

    def beat(self) -> None:
        """Say that this worker is alive."""
        self._write(now_of(self.engine), self._lease_s)

    def release(self) -> None:
        """Say that this worker is gone, without waiting for its lease to run out."""
        self._write(0.0, 0.0)

    def _write(self, beat_at: Any, lease_s: float) -> None:
        from sqlalchemy.dialects import postgresql, sqlite

        dialect: Any = sqlite if self.engine.dialect.name == "sqlite" else postgresql
        values = {"beat_at": beat_at, "lease_s": lease_s}
        statement = dialect.insert(self._table).values(executor_id=self.executor_id, **values)
        with self.engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["executor_id"], set_=values)
            )

    def gone(self) -> list[str]:
        """Executors other than this one that have running flows but no lease."""
        from dbos._schemas.system_database import SystemSchema
        from sqlalchemy import select

        flows, workers = SystemSchema.workflow_status.c, self._table.c
        alive = select(workers.executor_id).where(
            workers.beat_at + workers.lease_s >= now_of(self.engine)
        )
        query = (
            select(flows.executor_id)
            .distinct()
            .where(flows.status == "PENDING", flows.application_version == VERSION)
            .where(flows.executor_id != self.executor_id, flows.executor_id.not_in(alive))
        )
        return [str(row[0]) for row in self._rows(query)]

    def owners(self, flow_ids: Sequence[str]) -> dict[str, str | None]:
        """The token of the run that owns each of these flows, where one does."""
        from dbos._schemas.system_database import SystemSchema
        from sqlalchemy import select

        flows = SystemSchema.workflow_status.c
        query = select(flows.workflow_uuid, flows.owner_xid)
        return dict(self._rows(query.where(flows.workflow_uuid.in_(flow_ids))))

    def _rows(self, query: Any) -> list[Any]:
        from dbos._schemas import SCHEMA_PLACEHOLDER

        schema = None if self.engine.dialect.name == "sqlite" else "dbos"
        options = {"schema_translate_map": {SCHEMA_PLACEHOLDER: schema}}
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execution_options(**options).execute(query)]


def make_table(engine: Engine) -> Any:
    """The table ``workers``, made if it is not there."""
    import sqlalchemy as sa

    sqlite = engine.dialect.name == "sqlite"
    metadata = sa.MetaData(schema=None if sqlite else SCHEMA)
    prefix = "runtime_" if sqlite else ""
    workers = sa.Table(
        f"{prefix}workers",
        metadata,
        sa.Column("executor_id", sa.Text, primary_key=True),
        sa.Column("beat_at", sa.Double, nullable=False, comment="unix seconds"),
        sa.Column("lease_s", sa.Double, nullable=False),
    )
    with engine.begin() as connection:
        if not sqlite:
            # Two workers may start at once, and IF NOT EXISTS does not see what is uncommitted.
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_number(SCHEMA))))
            connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
        connection.execute(sa.schema.CreateTable(workers, if_not_exists=True))
    return workers


def now_of(engine: Engine) -> Any:
    """The time that all workers agree on: the server's clock, or this machine's with SQLite."""
    import sqlalchemy as sa

    if engine.dialect.name == "sqlite":
        return sa.literal(time.time())
    return sa.cast(sa.func.date_part("epoch", sa.func.clock_timestamp()), sa.Double)


def _number(text: str) -> int:
    digest = hashlib.sha256(f"predator {text}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


class Presence:
    """Held while a worker lives, so that no second one runs under the same id.

    The kernel (SQLite) or the server (PostgreSQL) lets it go with its process, and only then: a
    worker that was stopped still holds it.
    """

    def __init__(self, engine: Engine, executor_id: str, *, timeout_s: float = 3.0) -> None:
        """Raises ``ConflictError`` where the id stays taken; a killed holder's is soon free."""
        self._file: IO[str] | None = None
        self._connection: Connection | None = None
        deadline = time.monotonic() + timeout_s
        while not self._take(engine, executor_id):
            self.release()
            if time.monotonic() > deadline:
                raise ConflictError(
                    f"a worker {executor_id!r} is running already",
                    cure="End it first, or give this one another id",
                )
            time.sleep(0.05)

    def _take(self, engine: Engine, executor_id: str) -> bool:
        if engine.dialect.name == "sqlite":
            database = Path(str(engine.url.database))
            name = hashlib.sha256(executor_id.encode()).hexdigest()[:12]
            self._file = database.with_name(f".{database.name}.{name}.lock").open("a")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True
        import sqlalchemy as sa

        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        key = _number(f"worker {executor_id}")
        return bool(self._connection.scalar(sa.select(sa.func.pg_try_advisory_lock(key))))

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
        if self._connection is not None:
            # Back in the pool, the session would keep the lock.
            self._connection.invalidate()
            self._connection.close()
        self._file = self._connection = None

"""Starts flows by schedules: each tick once, however many workers look at the clock."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from predator.adapters.runtime.dbos_client import DbosFlows
from predator.adapters.runtime.leases import make_tables, now_of
from predator.adapters.runtime.outcomes import checked_name
from predator.adapters.runtime.schedules import Schedule, due, flow_id
from predator.domain.errors import PredatorError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_LOG = logging.getLogger(__name__)


class Scheduler:
    """The last ticks are in the database; the schedules themselves are code or settings."""

    def __init__(self, engine: Engine, flows: DbosFlows, *, poll_s: float = 1.0) -> None:
        self._engine, self._flows, self._poll_s = engine, flows, poll_s
        self._table = make_tables(engine)[1]
        self._schedules: dict[str, Schedule] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="runtime-scheduler", daemon=True)

    def apply(self, schedules: Mapping[str, Schedule]) -> None:
        """These schedules, and no others. A new one, or one with another rule, counts from now."""
        for name in schedules:
            checked_name(name, "the schedule")
        with self._engine.begin() as connection:
            for name, schedule in schedules.items():
                self._set_up(connection, name, schedule)
        self._schedules = dict(schedules)
        if not self._thread.is_alive():
            self._thread.start()

    def _set_up(self, connection: Connection, name: str, schedule: Schedule) -> None:
        from sqlalchemy.dialects import postgresql, sqlite

        dialect: Any = sqlite if self._engine.dialect.name == "sqlite" else postgresql
        now = now_of(self._engine)
        row = {"rule": schedule.rule, "last_tick": now}
        statement = dialect.insert(self._table).values(name=name, **row)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["name"], set_=row, where=self._table.c.rule != schedule.rule
            )
        )

    def tick(self) -> None:
        """Start what is due."""
        for name, schedule in list(self._schedules.items()):
            with self._engine.begin() as connection:
                self._tick(connection, name, schedule)

    def _tick(self, connection: Connection, name: str, schedule: Schedule) -> None:
        from sqlalchemy import select, update

        columns = self._table.c
        mine = columns.name == name
        # A write first: it keeps other workers out until this transaction ends.
        connection.execute(update(self._table).where(mine).values(name=name))
        row = connection.execute(
            select(columns.last_tick, columns.rule, now_of(self._engine)).where(mine)
        ).one()
        if row[1] != schedule.rule:
            return
        tick = due(schedule, row[0], row[2])
        if tick is not None:
            self._flows.enqueue_in(
                connection, schedule.flow, flow_id(name, tick), schedule.arguments(tick),
                queue=schedule.queue,
            )  # fmt: skip
            connection.execute(update(self._table).where(mine).values(last_tick=tick))

    def _keep(self) -> None:
        trouble = False
        while not self._stopping.wait(self._poll_s):
            try:
                self.tick()
                trouble = False
            except Exception as error:
                if not trouble and not self._stopping.is_set():
                    said = error.cause if isinstance(error, PredatorError) else repr(error)
                    _LOG.warning("A schedule could not be looked at: %s", said)
                trouble = True

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

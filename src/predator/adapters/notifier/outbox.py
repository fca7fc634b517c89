"""An outbox in the database: a notice is kept first, then sent, until its receiver took it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from predator.adapters.database.engine import Database
from predator.adapters.database.tables import notices
from predator.adapters.database.values import moment
from predator.adapters.notifier.delivery import (
    AT_ONCE,
    LEASE_S,
    LONGEST_PAUSE_S,
    RetryLater,
    Send,
    failure,
    holds,
    masked,
)
from predator.domain.governance import Notice

_SCOPE = "notices"
_WAITING = notices.c.delivered_at.is_(None)
_COLUMNS = [notices.c[field.name] for field in fields(Notice)]


class Outbox:
    """Sends each notice once by its key, whichever process does it.

    A process that dies between the sending and its record sends the notice again: at least
    once. One that fails goes behind those that were tried less, so it blocks nobody.
    """

    def __init__(
        self, database: Database, send: Send, *, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._send = send
        self._now = now

    def notify(self, notice: Notice) -> bool:
        """Keep and send; ``False`` where the key is known. ``PredatorError`` if not even kept."""
        kept = masked(notice)
        with self._database.writing(_SCOPE) as connection:
            known = select(notices.c.number).where(notices.c.key == kept.key)
            new = connection.execute(known).first() is None
            if new:
                row = asdict(kept) | {"kept_at": moment(self._now())}
                connection.execute(insert(notices).values(row))
        self.deliver()
        return new

    def deliver(self) -> None:
        """Send what waits, up to the first failure; also for the start of a process."""
        for _ in range(AT_ONCE):
            claimed = self._claim()
            if claimed is None:
                return
            number, notice = claimed
            try:
                self._send(notice)
            except RetryLater as error:
                self._mark(number, failure=failure(error), not_before=self._now() + error.wait_s)
                return
            except Exception as error:  # whatever a receiver does, the loop goes on
                self._mark(number, failure=failure(error))
                return
            self._mark(number, delivered_at=self._now(), failure="")

    def sent(self, limit: int = 100) -> Sequence[Notice]:
        """Notices that their receiver took, newest first."""
        query = select(*_COLUMNS).where(~_WAITING).order_by(notices.c.number.desc())
        return self._notices(query.limit(max(0, limit)))

    def pending(self, limit: int = 100) -> Sequence[Notice]:
        """Notices that no receiver took yet, oldest first."""
        query = select(*_COLUMNS).where(_WAITING).order_by(notices.c.number)
        return self._notices(query.limit(max(0, limit)))

    def failure(self, key: str) -> str:
        """Why the last attempt to send a notice failed; "" where it did not."""
        with self._database.reading() as connection:
            found = connection.scalar(select(notices.c.failure).where(notices.c.key == key))
        return found or ""

    def _notices(self, query: Any) -> Sequence[Notice]:
        with self._database.reading() as connection:
            return [Notice(**row._mapping) for row in connection.execute(query)]

    def _claim(self) -> tuple[int, Notice] | None:
        """The next notice to send, leased to this process."""
        now = self._now()
        with self._database.writing(_SCOPE) as connection:
            paused = connection.scalar(select(func.max(notices.c.not_before)).where(_WAITING))
            if holds(paused, now, LONGEST_PAUSE_S):
                return None
            row = _next(connection, now)
            if row is None:
                return None
            lease = {"leased_until": now + LEASE_S, "attempts": row.attempts + 1}
            own = notices.c.number == row.number
            connection.execute(update(notices).where(own).values(lease))
            return row.number, Notice(**{c.name: row._mapping[c.name] for c in _COLUMNS})

    def _mark(self, number: int, **values: object) -> None:
        own = notices.c.number == number
        with self._database.writing(_SCOPE) as connection:
            connection.execute(update(notices).where(own).values(leased_until=None, **values))


def _next(connection: Connection, now: float) -> Any:
    waiting = select(notices).where(_WAITING).order_by(notices.c.attempts, notices.c.number)
    for row in connection.execute(waiting):
        if not holds(row.leased_until, now, LEASE_S):
            return row
    return None

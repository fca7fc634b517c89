"""A gate for workers on several machines: an advisory lock in their common database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from predator.adapters.database.engine import Database
from predator.domain.errors import PredatorError

_KEY = 0x70726564
"""Any number that nobody else takes: the lock's name."""
_POLL_S = 0.01


class PostgresFence:
    """Held by a connection; the server lets go for those whose connection is lost."""

    def __init__(self, database: Database, *, wait_s: float = 10.0) -> None:
        self._database, self._wait_s = database, wait_s

    @contextmanager
    def passing(self) -> Iterator[None]:
        with self._held("_shared", self._wait_s):
            yield

    def drained(self, timeout_s: float) -> bool:
        try:
            with self._held("", timeout_s):
                return True
        except PredatorError:
            return False

    @contextmanager
    def _held(self, kind: str, timeout_s: float) -> Iterator[None]:
        from sqlalchemy import text

        deadline = time.monotonic() + timeout_s
        take = text(f"SELECT pg_try_advisory_lock{kind}(:key)")
        give = text(f"SELECT pg_advisory_unlock{kind}(:key)")
        with self._database.reading() as connection:
            while not connection.execute(take, {"key": _KEY}).scalar():
                if time.monotonic() >= deadline:
                    raise PredatorError(f"the gate was not free within {timeout_s:g} s")
                time.sleep(_POLL_S)
            try:
                yield
            finally:
                connection.execute(give, {"key": _KEY})

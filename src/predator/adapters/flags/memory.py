"""Flags in memory, proven equal to the table by the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from predator.adapters.flags.changes import FlagChange, change_of, removal_of
from predator.domain.governance import Flag


class MemoryFlags:
    """For tests and simulations."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: dict[tuple[str, str], Flag] = {}
        self._changes: list[FlagChange] = []

    def rows(self) -> Sequence[Flag]:
        with self._lock:
            return [flag for _, flag in sorted(self._rows.items(), key=lambda item: item[0])]

    def put(self, flag: Flag, *, actor: str, reason: str, at: float) -> None:
        change = change_of(flag, actor, reason, at)
        with self._lock:
            kept = Flag(flag.name, flag.enabled, flag.environment, change.metadata or {})
            self._rows[flag.name, flag.environment] = kept
            self._changes.append(change)

    def remove(self, name: str, environment: str, *, actor: str, reason: str, at: float) -> bool:
        change = removal_of(name, environment, actor, reason, at)
        with self._lock:
            found = self._rows.pop((name, environment), None) is not None
            if found:
                self._changes.append(change)
            return found

    def changes(self, limit: int = 100) -> Sequence[FlagChange]:
        with self._lock:
            return self._changes[::-1][: max(0, limit)]

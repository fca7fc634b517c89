"""Overrides in memory, proven equal to the table by the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from predator.adapters.overrides.rules import checked, confirmed, revoked
from predator.domain.governance import Override


class MemoryOverrides:
    """For tests and simulations."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._granted: dict[str, Override] = {}

    def add(self, override: Override) -> Override:
        with self._lock:
            return self._granted.setdefault(override.id, checked(override))

    def confirm(self, override_id: str, *, actor: str, at: float) -> Override:
        with self._lock:
            after = confirmed(self._granted.get(override_id), override_id, actor, at)
            self._granted[override_id] = after
            return after

    def revoke(self, override_id: str, *, actor: str, at: float) -> Override:
        with self._lock:
            after = revoked(self._granted.get(override_id), override_id, actor, at)
            self._granted[override_id] = after
            return after

    def list(self, contour: str | None = None) -> Sequence[Override]:
        with self._lock:
            latest_first = list(reversed(self._granted.values()))
        found = [each for each in latest_first if contour in (None, each.contour)]
        return sorted(found, key=lambda each: each.created_at, reverse=True)

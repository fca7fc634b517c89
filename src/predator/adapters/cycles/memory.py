"""A register in memory, proven equal to the tables by the same tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock
from typing import Any

from predator.adapters.cycles.rules import first_free, known_moment, nothing_taken, place, unknown
from predator.adapters.database.values import (
    moment as checked_moment,
)
from predator.adapters.database.values import (
    named,
    object_from_json,
    text,
    to_json,
    utc_day,
)
from predator.domain.governance import CycleEntry


class MemoryCycles:
    """For tests and simulations. ``taken`` says which ids are in use elsewhere."""

    def __init__(self, taken: Callable[[str], bool] = nothing_taken) -> None:
        self._taken = taken
        self._lock = Lock()
        self._entries: dict[str, CycleEntry] = {}
        self._ids: dict[str, str] = {}

    def open(self, request_key: str, contour: str, trigger: dict[str, Any], at: float) -> str:
        named(request_key, "request key")
        text(contour, "contour")
        kept = object_from_json(to_json(trigger))
        day = utc_day(at)
        with self._lock:
            if request_key not in self._ids:
                places = map(place, self._entries)
                last = max((number for begun, number in places if begun == day), default=0)
                name, _ = first_free(day, last, self._taken)
                self._ids[request_key] = name
                self._entries[name] = CycleEntry(name, contour, kept, float(at))
            return self._ids[request_key]

    def get(self, cycle_id: str) -> CycleEntry | None:
        with self._lock:
            return self._entries.get(cycle_id)

    def mark(self, cycle_id: str, moment: str, at: float) -> None:
        known_moment(moment)
        checked_moment(at)
        with self._lock:
            entry = self._entry(cycle_id)
            moments = {moment: float(at), **entry.moments}
            self._entries[cycle_id] = replace(entry, moments=moments)

    def finish(self, cycle_id: str, outcome: str, at: float) -> None:
        named(outcome, "outcome")
        checked_moment(at)
        with self._lock:
            entry = self._entry(cycle_id)
            if not entry.outcome:
                moments = {"ended": float(at), **entry.moments}
                self._entries[cycle_id] = replace(entry, outcome=outcome, moments=moments)

    def cancel(self, cycle_id: str, *, actor: str, reason: str, at: float) -> bool:
        named(actor, "actor")
        named(reason, "reason")
        checked_moment(at)
        with self._lock:
            entry = self._entry(cycle_id)
            if entry.outcome or entry.cancelled_by:
                return False
            self._entries[cycle_id] = replace(entry, cancelled_by=actor, cancel_reason=reason)
            return True

    def list(
        self, contour: str | None = None, *, limit: int = 100, before: str | None = None
    ) -> Sequence[CycleEntry]:
        end = None if before is None else place(before)
        with self._lock:
            entries = list(self._entries.values())
        found = [
            entry
            for entry in entries
            if contour in (None, entry.contour) and (end is None or place(entry.cycle_id) < end)
        ]
        found.sort(key=lambda entry: place(entry.cycle_id), reverse=True)
        return found[: max(0, limit)]

    def _entry(self, cycle_id: str) -> CycleEntry:
        if cycle_id not in self._entries:
            raise unknown(cycle_id)
        return self._entries[cycle_id]

"""Places in memory, proven equal to the table by the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from predator.adapters.database.values import text


class MemorySlots:
    """For tests and simulations."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[str, dict[str, bool]] = {}

    def claim(self, target: str, cycle_id: str, most: int) -> bool:
        text(target, "target")
        text(cycle_id, "cycle id")
        with self._lock:
            places = self._held.setdefault(target, {})
            places.setdefault(cycle_id, False)
            if not places[cycle_id]:
                free = most - sum(places.values())
                queue = [name for name, held in places.items() if not held]
                places[cycle_id] = queue.index(cycle_id) < free
            return places[cycle_id]

    def release(self, target: str, cycle_id: str) -> None:
        with self._lock:
            self._held.get(target, {}).pop(cycle_id, None)

    def holders(self, target: str) -> Sequence[str]:
        with self._lock:
            places = self._held.get(target, {})
            return sorted(places, key=lambda name: not places[name])

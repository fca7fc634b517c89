"""The ledger in memory, proven equal to the table by the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from predator.adapters.database.values import moment
from predator.adapters.ledger.rules import entered, names, settled
from predator.ports.ledger import GoldReading


class MemoryLedger:
    """For tests and simulations."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._readings: dict[str, dict[str, GoldReading]] = {}

    def reserve(
        self, gold_set: str, key: str, at: float, *, kind: str, alpha: float
    ) -> GoldReading:
        names(gold_set, key)
        with self._lock:
            found = self._readings.get(gold_set, {})
            if key not in found:
                reading = entered(list(found.values()), gold_set, key, at, kind, alpha)
                self._readings.setdefault(gold_set, {})[key] = reading
            return self._readings[gold_set][key]

    def settle(self, gold_set: str, key: str, at: float, *, discovery: bool) -> GoldReading:
        names(gold_set, key)
        moment(at)
        with self._lock:
            found = self._readings.get(gold_set, {})
            found[key] = settled(found.get(key), gold_set, key, discovery=discovery)
            return found[key]

    def readings(self, gold_set: str) -> Sequence[GoldReading]:
        with self._lock:
            return list(self._readings.get(gold_set, {}).values())

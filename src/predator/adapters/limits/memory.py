"""Limits in memory, proven equal to the tables by the same tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from threading import Lock

from predator.adapters.database.values import text, utc_day
from predator.adapters.limits.rules import budget_micros, cost_micros, later, usd, utc_month
from predator.domain.governance import Spend


@dataclass(frozen=True, slots=True)
class _Charge:
    month: date
    clock_month: date
    micros: int


class MemoryLimits:
    """For tests and simulations."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._cycles: dict[tuple[str, str], tuple[date, date]] = {}
        self._reserved: dict[tuple[str, str], tuple[date, int]] = {}
        self._charges: dict[tuple[str, str], _Charge] = {}

    def begin_cycle(self, contour: str, cycle_id: str, at: float, most: int) -> bool:
        clock_day = utc_day(at)
        key = (text(contour, "contour"), text(cycle_id, "cycle id"))
        with self._lock:
            if key in self._cycles:
                return True
            day = self._day(contour, clock_day)
            if self._count(contour, day, clock_day) >= most:
                return False
            self._cycles[key] = (day, clock_day)
            return True

    def cycles_on(self, contour: str, at: float) -> int:
        clock_day = utc_day(at)
        with self._lock:
            return self._count(contour, self._day(contour, clock_day), clock_day)

    def reserve(
        self, contour: str, cycle_id: str, at: float, amount_usd: float, budget_usd: float
    ) -> bool:
        clock_month = utc_month(at)
        amount, budget = cost_micros(amount_usd), budget_micros(budget_usd)
        key = (text(contour, "contour"), text(cycle_id, "cycle id"))
        with self._lock:
            if key in self._reserved and self._reserved[key][1] == amount:
                return True
            month = self._month(contour, clock_month)
            charged = self._charged(contour, month, clock_month)
            others = sum(self._open(contour, besides=cycle_id))
            if charged + others + amount > budget:
                return False
            self._reserved[key] = (month, amount)
            return True

    def charge(self, contour: str, key: str, cycle_id: str, at: float, amount_usd: float) -> bool:
        clock_month = utc_month(at)
        amount = cost_micros(amount_usd)
        text(cycle_id, "cycle id")
        name = (text(contour, "contour"), text(key, "key"))
        with self._lock:
            if name in self._charges:
                return False
            month = self._month(contour, clock_month)
            self._charges[name] = _Charge(month, clock_month, amount)
            return True

    def settle(self, cycle_id: str) -> None:
        with self._lock:
            for key in [key for key in self._reserved if key[1] == cycle_id]:
                del self._reserved[key]

    def spent(self, contour: str, at: float) -> Spend:
        clock_month = utc_month(at)
        with self._lock:
            month = self._month(contour, clock_month)
            charged = self._charged(contour, month, clock_month)
            return Spend(usd(charged), usd(sum(self._open(contour))))

    def _day(self, contour: str, clock_day: date) -> date:
        begun = [day for (where, _), (day, _) in self._cycles.items() if where == contour]
        return later(clock_day, max(begun, default=None))

    def _count(self, contour: str, day: date, clock_day: date) -> int:
        days = [days for (where, _), days in self._cycles.items() if where == contour]
        return max(sum(d == day for d, _ in days), sum(c == clock_day for _, c in days))

    def _month(self, contour: str, clock_month: date) -> date:
        begun = [month for (where, _), (month, _) in self._reserved.items() if where == contour]
        begun += [c.month for (where, _), c in self._charges.items() if where == contour]
        return later(clock_month, max(begun, default=None))

    def _charged(self, contour: str, month: date, clock_month: date) -> int:
        charges = [charge for (where, _), charge in self._charges.items() if where == contour]
        return max(
            sum(c.micros for c in charges if c.month == month),
            sum(c.micros for c in charges if c.clock_month == clock_month),
        )

    def _open(self, contour: str, besides: str | None = None) -> list[int]:
        return [
            micros
            for (where, cycle_id), (_, micros) in self._reserved.items()
            if where == contour and cycle_id != besides
        ]

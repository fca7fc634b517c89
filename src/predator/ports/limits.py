"""What is counted and must never be exceeded: cycles a day, money, open experiments."""

from __future__ import annotations

from typing import Protocol

from predator.domain.governance import Spend


class Limits(Protocol):
    """Counters that many processes change at once; each claim is atomic and idempotent by id."""

    def begin_cycle(self, contour: str, cycle_id: str, at: float, most: int) -> bool:
        """Count the cycle to the UTC day of ``at``; whether it is within ``most``.

        A clock set back gains nothing: a day, once begun, is not followed by an earlier one.
        """
        ...

    def cycles_on(self, contour: str, at: float) -> int:
        """Cycles counted to the day that ``begin_cycle`` would count one to now."""
        ...

    def reserve(
        self, contour: str, cycle_id: str, at: float, amount_usd: float, budget_usd: float
    ) -> bool:
        """Set money aside in the UTC month of ``at``; whether charges, what others reserved
        and this amount stay within the budget. ``settle`` frees it."""
        ...

    def charge(self, contour: str, key: str, cycle_id: str, at: float, amount_usd: float) -> bool:
        """Book a cost once by ``key``; ``False`` where it was booked already."""
        ...

    def settle(self, cycle_id: str) -> None:
        """Free what the cycle reserved; its charges stay."""
        ...

    def spent(self, contour: str, at: float) -> Spend:
        """What the month of ``at`` has cost, and what is reserved in it."""
        ...

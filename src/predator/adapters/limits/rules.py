"""Days, months and money; pure, shared by every back end.

Time is the UTC calendar, so daylight saving changes nothing. A clock that jumps must not open a
second day: what is counted goes to the latest day begun so far (``later``), and room is needed
both on that day and on the day that the clock names.
"""

from __future__ import annotations

import math
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from predator.adapters.database.values import utc_day

MOST_USD = 1e9


def utc_month(at: float) -> date:
    """The first day of the UTC month of ``at``."""
    return utc_day(at).replace(day=1)


def later(clock: date, last: date | None) -> date:
    """The day or month that counts: the clock's, but never before the last one begun."""
    return clock if last is None else max(clock, last)


def cost_micros(amount_usd: float) -> int:
    """Micro-dollars of a cost, rounded up; ``ValueError`` unless 0 ≤ amount ≤ 1e9 USD."""
    return _micros(amount_usd, ROUND_CEILING)


def budget_micros(budget_usd: float) -> int:
    """Micro-dollars of a budget, rounded down; ``ValueError`` unless 0 ≤ budget ≤ 1e9 USD."""
    return _micros(budget_usd, ROUND_FLOOR)


def usd(micros: int) -> float:
    return micros / 1_000_000


def _micros(amount_usd: float, rounding: str) -> int:
    if not math.isfinite(amount_usd) or not 0 <= amount_usd <= MOST_USD:
        raise ValueError(f"{amount_usd} is not an amount of money")
    # The shortest decimal that names the float is what a person wrote: 0.29 is 290,000.
    exact = Decimal(repr(float(amount_usd))) * 1_000_000
    return int(exact.to_integral_value(rounding))

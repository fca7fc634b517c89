"""Names of things: a cycle id is ``si_YYYY_MM_DD_NNN`` (spec 6A.9)."""

from __future__ import annotations

import re
from datetime import date

_CYCLE_ID = re.compile(r"si_(\d{4})_(\d{2})_(\d{2})_(\d{3,})\Z", re.ASCII)


def cycle_id(day: date, number: int) -> str:
    """``cycle_id(date(2025, 12, 7), 1) == "si_2025_12_07_001"``; ``number`` starts at 1."""
    if number < 1:
        raise ValueError(f"cycle number {number} is below 1")
    return f"si_{day:%Y_%m_%d}_{number:03d}"


def is_cycle_id(text: str) -> bool:
    """Whether ``text`` is a well-formed cycle id naming a real day (safe as a file name)."""
    match = _CYCLE_ID.match(text)
    if match is None:
        return False
    try:
        date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return False
    return True

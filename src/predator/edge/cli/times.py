"""Moments as people write and read them; plain functions of the present."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from predator.contours.schedule import seconds
from predator.domain.errors import InputError

_DATE = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d\S*)?\Z", re.ASCII)
_UNITS = ((86_400, "day"), (3_600, "h"), (60, "min"))


def expiry(text: str, now: float) -> float:
    """``7d`` from ``now``, or a date or moment in ISO 8601 (without an offset: UTC), in unix s.

    A date is its first moment. ``InputError`` for what is neither.
    """
    return _given("--expires", text, now, 1)


def since(text: str, now: float) -> float:
    """``7d`` before ``now``, or a date or moment as :func:`expiry` takes them, before ``now``."""
    found = _given("--since", text, now, -1)
    if found >= now:
        raise InputError(f"--since {text[:40]!r} is not over yet", cure="name an earlier moment")
    return found


def _given(option: str, text: str, now: float, sign: int) -> float:
    given = text.strip()
    try:
        if not _DATE.match(given):
            return now + sign * seconds(given)
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{option} cannot be {text[:40]!r}",
            cure="write a time such as 12h or 7d, or a date such as 2025-12-20",
        ) from error


def stamp(at: float) -> str:
    """``2025-12-07 01:23:45 UTC``."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "an unknown time"


def moment(at: float | None, now: float) -> str:
    """``3 min ago (2025-12-07 01:23:45 UTC)``; a dash for no moment."""
    return "–" if at is None else f"{relative(at, now)} ({stamp(at)})"


def relative(at: float, now: float) -> str:
    """``3 min ago`` or ``in 2 h``."""
    away = at - now
    if abs(away) < 1:
        return "now"
    shown = span(abs(away))
    return f"in {shown}" if away > 0 else f"{shown} ago"


def span(duration_s: float | None) -> str:
    """``42 s``, ``3 min``, ``5 h``, ``7 days``; a dash for none."""
    if duration_s is None:
        return "–"
    whole = round(duration_s)
    size, unit = next((one for one in _UNITS if whole >= one[0]), (1, "s"))
    count = round(whole / size)
    return f"{count} {unit}{'s' if unit == 'day' and count != 1 else ''}"

"""What may be stored: checks that every store makes, in memory or not, so that all agree."""

from __future__ import annotations

import json
import math
import unicodedata
from datetime import UTC, date, datetime
from typing import Any, NoReturn

from predator.domain.canonical import canonical_json
from predator.domain.errors import InputError


def text(value: str, what: str) -> str:
    """``value``, if every back end can keep it: valid Unicode without NUL, else ``InputError``."""
    if "\0" in value:
        raise InputError(f"{what} holds a NUL character")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"{what} is not valid Unicode") from None
    return value


def named(value: str, what: str) -> str:
    """As :func:`text`, and not blank: a name, an actor, a reason."""
    if not text(value, what).strip():
        raise InputError(f"{what} is missing")
    return value


def texts(record: object, *fields: str) -> None:
    """Check text fields of a record, each by its name."""
    for field in fields:
        text(getattr(record, field), field)


def moment(at: float) -> float:
    """A time in unix seconds; ``ValueError`` where it is not finite."""
    if not math.isfinite(at):
        raise ValueError(f"{at} is not a time")
    return float(at)


def utc_day(at: float) -> date:
    """The UTC day of ``at``; ``ValueError`` outside the years 1 to 9999."""
    try:
        return datetime.fromtimestamp(at, UTC).date()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{at} is not a time") from None


def to_json(value: Any) -> str:
    """Canonical JSON; ``InputError`` where ``value`` is none (NaN, bytes, a lone surrogate)."""
    try:
        return canonical_json(value).decode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"this is not JSON: {type(error).__name__}") from error


def object_from_json(found: str) -> dict[str, Any]:
    """A JSON object; ``ValueError`` for anything else, NaN and infinities too."""
    value = json.loads(found, parse_constant=_refuse)
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    return value


def same_person(one: str, other: str) -> bool:
    """Whether two actors may be one: case, spaces and look-alike forms of letters do not count."""
    return _folded(one) == _folded(other)


def _folded(actor: str) -> str:
    return "".join(unicodedata.normalize("NFKC", actor).casefold().split())


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")

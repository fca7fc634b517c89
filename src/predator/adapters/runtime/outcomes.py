"""What a step or a flow came to, as plain JSON: ``{"ok": value}`` or ``{"error": {...}}``."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from predator.domain.errors import InputError, PredatorError
from predator.ports.runtime import FlowStopped, Json

MAX_NAME = 255
_MAX_DEPTH = 100


def plain(value: Any) -> Json:
    """A copy of ``value`` as JSON gives it back: tuples become lists.

    So a step returns the same on its first run as when it is read back. ``ValueError`` names what
    JSON cannot hold.
    """
    return _plain(value, 0)


def _plain(value: Any, depth: int) -> Json:
    if depth > _MAX_DEPTH:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")
    match value:
        case None | bool() | str():
            return value
        case int():
            return int(value)
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{value} is no finite number")
            return float(value)
        case Mapping():
            wrong = [key for key in value if not isinstance(key, str)]
            if wrong:
                raise ValueError(f"the key {wrong[0]!r} is no string")
            return {str(key): _plain(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item, depth + 1) for item in value]
    raise ValueError(f"a {type(value).__name__} is no JSON")


def checked(value: Any, what: str) -> Json:
    """:func:`plain`, with an ``InputError`` that says ``what`` cannot be kept."""
    try:
        return plain(value)
    except ValueError as error:
        raise InputError(f"{what} must be plain JSON: {error}") from error


def checked_name(text: str, what: str) -> str:
    """``text`` where it can name a flow, step, topic or key; ``InputError`` where it cannot."""
    if not isinstance(text, str) or not 0 < len(text) <= MAX_NAME or not text.isprintable():
        raise InputError(f"{what} {text!r} must be 1 to {MAX_NAME} printable characters")
    if text.startswith("DBOS."):
        raise InputError(f"{what} {text!r} begins with a reserved word")
    return text


def checked_seconds(seconds: float) -> float:
    """``seconds``, not below 0; ``InputError`` for what is no finite number."""
    if not math.isfinite(seconds):
        raise InputError(f"a time of {seconds} seconds cannot be waited for")
    return max(0.0, float(seconds))


def attempt(what: str, work: Callable[[], Any]) -> Json:
    """Run ``work`` and say what it came to. What is no ``Exception`` passes through."""
    try:
        value = work()
    except FlowStopped:
        raise
    except Exception as error:
        return failure(error, what)
    try:
        return {"ok": plain(value)}
    except ValueError as error:
        return failure(PredatorError(f"{what} returned what cannot be recorded: {error}"), what)


def failure(error: Exception, what: str) -> Json:
    """``error`` as JSON; one that is no ``PredatorError`` is named in the cause of one."""
    if not isinstance(error, PredatorError):
        error = PredatorError(f"{what} failed: {type(error).__name__}: {error}")
    described = {"class": type(error).__name__, "cause": error.cause, "cure": error.cure}
    return {"error": {**described, "cause": _storable(error.cause)}}


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def unwrap(outcome: Json) -> Json:
    """The value of an outcome, or its error raised as the class it was."""
    if "error" in outcome:
        raise error_of(outcome["error"])
    return outcome["ok"]


def error_of(described: Mapping[str, Any]) -> PredatorError:
    """The error again; a class that is no longer known becomes a plain ``PredatorError``."""
    known = {kind.__name__: kind for kind in _kinds(PredatorError)}
    kind = known.get(described["class"], PredatorError)
    error = kind.__new__(kind)
    # Subclasses may ask their constructors for more than a cause and a cure.
    PredatorError.__init__(error, described["cause"], cure=described["cure"])
    return error


def _kinds(kind: type[PredatorError]) -> Iterator[type[PredatorError]]:
    for child in kind.__subclasses__():
        yield from _kinds(child)
    yield kind


def other_code(flow_id: str, position: int, recorded: str, asked: str) -> PredatorError:
    """The flow's code and its recorded steps do not belong together."""
    return PredatorError(
        f"flow {flow_id!r} is recorded with {recorded!r} as its step {position}, but its code "
        f"asks for {asked!r}",
        cure="Run it on the code that it was started with, or cancel it",
    )

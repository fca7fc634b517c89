"""Between the values that deciders take and JSON: exact for numbers, and free of secrets.

What cannot be written down exactly (a NaN, an infinity) is refused here, so that no decision is
based on it.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np

from predator.domain.errors import InputError
from predator.journal.redact import redact
from predator.ports.runtime import Json

T = TypeVar("T")


def plain(value: Any, what: str = "the input") -> Json:
    """``value`` (dataclasses, mappings, sequences, enums, numpy scalars) as JSON, for inputs.

    Numbers stay the same to the last bit. Secrets inside texts are masked. ``InputError`` naming
    ``what`` for a number that is not finite and for what has no JSON.
    """
    return _plain(value, what, strict=True)


def answer(value: Any) -> Json:
    """As :func:`plain`, for what a decider says: a number that is not finite becomes ``null``."""
    return _plain(value, "the answer", strict=False)


def _plain(value: Any, what: str, *, strict: bool) -> Json:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, what, strict=strict)
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        if strict:
            raise InputError(f"{what} is {value}, which is no measurement")
        return None
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {n: _plain(getattr(value, n), f"{what}.{n}", strict=strict) for n in names}
    if isinstance(value, Mapping):
        return {
            redact(str(name)): _plain(below, f"{what}.{name}", strict=strict)
            for name, below in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [
            _plain(below, f"{what}[{place}]", strict=strict) for place, below in enumerate(value)
        ]
    raise InputError(f"{what} is a {type(value).__name__}, which cannot be recorded")


def or_none(value: float | None) -> float | None:
    """``value`` where it is a finite number, else ``None``: it was not measured."""
    if value is None or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)


def restore(kind: type[T], value: Json) -> T:
    """The dataclass ``kind`` whose :func:`plain` form ``value`` is; sequences become tuples."""
    return cast(T, _restore(kind, value))


def _restore(kind: Any, value: Json) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if value is None:
        return None
    if origin in (Union, types.UnionType):
        (present,) = (one for one in arguments if one is not types.NoneType)
        return _restore(present, value)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{name: _restore(hints[name], below) for name, below in value.items()})
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {name: _restore(arguments[1], below) for name, below in value.items()}
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return tuple(_restore(arguments[0], below) for below in value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)

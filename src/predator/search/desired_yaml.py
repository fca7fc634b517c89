"""The blocks of the GitOps values between dataclasses and YAML: each field of its very type."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SHARES = frozenset({"share", "users_from", "users_to"})
"""Fields that are numbers from 0 to 1; all others are texts."""

Block = TypeVar("Block", bound="DataclassInstance")


def plain(block: DataclassInstance) -> dict[str, Any]:
    """The block's fields, with escapes for what ruamel would write but not read back (U+0085)."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    return {
        name: value
        if not isinstance(value, str) or value.isprintable()
        else DoubleQuotedScalarString(value)
        for name, value in asdict(block).items()
    }


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.default_flow_style = False
    yaml.width = 4096
    return yaml


def load(text: str) -> Any:
    """The mapping in ``text``; ``ValueError`` or ``TypeError`` where there is none."""
    try:
        value = _yaml().load(text)
    except Exception as error:
        # Beside YAMLError, broken tags and deep nesting raise half a dozen builtin errors.
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:200]}") from error
    return {} if value is None else mapping(value)


def dump(value: Any) -> str:
    """``value`` as YAML."""
    buffer = io.StringIO()
    _yaml().dump(value, buffer)
    return buffer.getvalue()


def block(kind: type[Block], value: Any) -> Block:
    """The dataclass ``kind`` from a mapping with its fields and no others, each of its very type.

    Fields with a default may be left out.
    """
    if value is None:
        raise ValueError(f"{kind.__name__} is empty")
    given = mapping(value)
    names = [field.name for field in fields(kind)]
    needed = {field.name for field in fields(kind) if field.default is MISSING}
    wrong = sorted(map(str, (set(given) - set(names)) | (needed - set(given))))
    if wrong:
        raise ValueError(f"{kind.__name__} has {', '.join(names)}: see {wrong[0]!r}")
    checked: dict[str, Any] = {
        name: _share(given[name]) if name in SHARES else _text(given[name])
        for name in names
        if name in given
    }
    return kind(**checked)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a string, found {str(value)[:40]!r}")
    return str(value)


def _share(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not 0 <= value <= 1:
        raise ValueError(f"expected a share between 0 and 1, found {str(value)[:40]!r}")
    return float(value)


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` where it is a mapping, empty for none; ``TypeError`` for anything else."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"expected a mapping, found {type(value).__name__}")
    return value

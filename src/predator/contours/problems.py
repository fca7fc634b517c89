"""Says what is wrong with a file of values, by its full path, without repeating a secret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from predator.domain.errors import InputError

_HARMLESS = re.compile(r"[\w .+*-]{0,40}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MESSAGES = {
    "model_type": "a block of keys belongs here",
    "mapping_type": "a block of keys belongs here",
    "bool_type": "it is either true or false",
}
_CURES = {
    "bool_type": "write true or false without quotes",
    "int_type": "write a whole number without quotes",
    "float_type": "write a number without quotes",
    "string_type": "put it into quotes",
}


def did_you_mean(name: str, known: Iterable[str], prefix: str = "") -> str | None:
    """A question that names the nearest of ``known``, if one is near."""
    close = difflib.get_close_matches(name[:64], sorted(known), n=1, cutoff=0.4)
    return f"did you mean {prefix}{close[0]}?" if close else None


def keys_of(model: type[BaseModel], above: str = "") -> Iterator[tuple[str, str]]:
    """Every key below ``model`` as (path of its block, name), blocks too."""
    for name, field in model.model_fields.items():
        key = field.alias or name
        yield above, key
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from keys_of(field.annotation, f"{above}{key}.")


def input_error(problem: Mapping[str, Any], model: type[BaseModel], source: str) -> InputError:
    """One of pydantic's problems with ``model`` as a line for people."""
    *above, key = [shown_key(part) for part in problem["loc"]] or [""]
    path = ".".join([*above, key])
    if problem["type"] == "extra_forbidden":
        return InputError(f"unknown key {path} in {source}", cure=_nearest_key(above, key, model))
    message = _MESSAGES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    shown = "" if "slackWebhook" in path else _shown_value(problem.get("input"))
    return InputError(
        f"{path or 'the file'} in {source} cannot be {shown or 'that'}: {message}",
        cure=_CURES.get(problem["type"], "see docs/contours.md"),
    )


def _nearest_key(above: list[str], key: str, model: type[BaseModel]) -> str:
    """The nearest key of the same block, or else the key of that name in another."""
    prefix = "".join(f"{part}." for part in above)
    keys = list(keys_of(model))
    elsewhere = [f"{block}{name}" for block, name in keys if name == key]
    if elsewhere:
        return f"did you mean {elsewhere[0]}?"
    siblings = [name for block, name in keys if block == prefix]
    near = did_you_mean(key, siblings, prefix)
    return near or f"known here are {', '.join(sorted(siblings))}"


def shown_key(part: object) -> str:
    """A key as an error may show it: one that looks like a name, and no other."""
    text = str(part)
    return text if _NAME.fullmatch(text) else "a key"


def _shown_value(value: object) -> str:
    """A value as an error may show it: a number, a truth value, or a short word."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value) if isinstance(value, float) or abs(value) < 2**63 else "so large a number"
    if isinstance(value, str):
        return repr(value) if _HARMLESS.fullmatch(value) else "that text"
    return {dict: "a block of keys", list: "a list", type(None): "empty"}.get(type(value), "that")

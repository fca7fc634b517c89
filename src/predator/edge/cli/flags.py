"""``predator flags``: rows of ``feature_flags``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from predator.domain.errors import InputError
from predator.edge.cli.desk import at_desk, who
from predator.edge.cli.shown import print_json, print_table, say

_SWITCH = {"on": True, "off": False}


def list_flags(contour: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """Rows, by name and environment."""
    with at_desk(pairs) as office:
        found = office.operator.flags(contour)
        if as_json:
            print_json(found)
            return
        rows = [
            (
                row.name,
                row.environment,
                "on" if row.enabled else "off",
                json.dumps(dict(row.metadata), ensure_ascii=False) if row.metadata else "",
            )
            for row in found
        ]
        empty = "no rows: what the contours' files say is in force; see `predator state`"
        print_table(("flag", "environment", "", "metadata"), rows, empty)


def set_flag(
    name: str,
    value: str,
    environment: str,
    metadata: str | None,
    reason: str,
    actor: str | None,
    as_json: bool,
    pairs: Sequence[str],
) -> None:
    """Set a row; it counts from the next effect on."""
    if value not in _SWITCH:
        raise InputError(f"a flag is on or off, not {value[:40]!r}")
    given = _object(metadata)
    with at_desk(pairs) as office:
        flag = office.operator.set_flag(
            name, environment, _SWITCH[value], given, actor=who(actor), reason=reason
        )
        if as_json:
            print_json(flag)
            return
        say(f"{flag.name} is {value} for {flag.environment}, from the next effect on")


def remove_flag(
    name: str,
    environment: str,
    reason: str,
    actor: str | None,
    as_json: bool,
    pairs: Sequence[str],
) -> None:
    """Take a row away, so that the contour's file counts again."""
    with at_desk(pairs) as office:
        removed = office.operator.remove_flag(name, environment, actor=who(actor), reason=reason)
        if as_json:
            print_json({"removed": removed})
            return
        gone = "removed; the contour's file counts again" if removed else "there was no such row"
        say(f"{name} for {environment}: {gone}")


def _object(metadata: str | None) -> dict[str, Any]:
    try:
        value = json.loads(metadata) if metadata is not None else {}
    except (ValueError, RecursionError) as error:
        raise InputError(
            "--metadata is no JSON", cure="""write an object such as '{"split_ratio": 0.1}'"""
        ) from error
    if not isinstance(value, dict):
        raise InputError("--metadata is no JSON object")
    return value

"""``predator audit show`` and ``predator audit operators``: what was done, by the loop and by
people, as far as the records are what was written.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from predator.bootstrap.home import Home
from predator.domain.errors import IntegrityError
from predator.edge.cli.desk import at_desk, now
from predator.edge.cli.options import settings_from
from predator.edge.cli.shown import print_json, print_table, say
from predator.edge.cli.times import moment
from predator.journal.audit import read_journal

_OWN = frozenset({"sequence", "previous", "hash", "at", "type", "key"})
_SHOWN = 300


def show_audit(cycle_id: str, as_json: bool, pairs: Sequence[str]) -> None:
    """The records of a cycle. ``IntegrityError`` where they are not what was written."""
    with at_desk(pairs) as office:
        trail = office.operator.audit(cycle_id)
        if as_json:
            print_json(trail)
        else:
            rows = [
                (
                    record["sequence"],
                    moment(record["at"], now(office)),
                    record["type"],
                    _rest(record),
                )
                for record in trail.records
            ]
            print_table(("#", "when", "record", "what"), rows, f"{cycle_id} has no records")
            say(f"{trail.verified.records} records, {'intact' if trail.verified.ok else 'BROKEN'}")
    if not trail.verified.ok:
        raise IntegrityError(
            f"the audit of {cycle_id} does not hold: record {trail.verified.first_bad}: "
            f"{trail.verified.reason}"
        )


def show_operators(as_json: bool, pairs: Sequence[str]) -> None:
    """What people did, verified. ``IntegrityError`` where it is not what was written."""
    path = Home(settings_from(pairs)).operators
    chain, reason = read_journal(path)
    records = chain.records
    if as_json:
        print_json({"ok": not reason, "reason": reason, "records": records})
    else:
        numbers = {record["hash"]: record["sequence"] for record in records}
        rows = [
            (
                record["sequence"],
                moment(record["at"], time.time()),
                record.get("actor"),
                record.get("verb") or record.get("type"),
                record.get("outcome"),
                _given(record.get("arguments"), numbers),
            )
            for record in records
        ]
        print_table(("#", "when", "who", "did", "outcome", "with"), rows, "nobody did anything yet")
        say(f"{len(records)} records in {path}, {'BROKEN' if reason else 'intact'}")
    if reason:
        raise IntegrityError(
            f"the journal of operators does not hold: record {len(records) + 1}: {reason}"
        )


def acts_of(path: Path) -> list[Mapping[str, Any]]:
    """What people asked for and did, oldest first, as far as the journal is sound."""
    chain, _ = read_journal(path)
    wanted = ("actor", "verb", "arguments", "outcome", "at")
    return [
        record
        for record in chain.records
        if record.get("type") == "operator"
        and all(name in record for name in wanted)
        and "request" not in record["arguments"]
    ]


def _given(arguments: object, numbers: Mapping[str, int]) -> str:
    """What an act was given; for what came of it, the number of the act."""
    if not isinstance(arguments, Mapping):
        return ""
    asked = numbers.get(str(arguments.get("request")))
    rest = {name: value for name, value in arguments.items() if asked is None or name != "request"}
    return f"{f'of {asked}  ' if asked is not None else ''}{_arguments(rest)}"


def _rest(record: Mapping[str, Any]) -> str:
    """What a record holds beside its place in the chain, short."""
    if record["type"] == "policy":
        return f"{record.get('effect')}: {record.get('decision')} by {record.get('rule')}"
    rest = {name: value for name, value in record.items() if name not in _OWN}
    return _arguments(rest)


def _arguments(values: Mapping[str, object]) -> str:
    parts = (f"{name}={_value(value)}" for name, value in values.items() if value is not None)
    return ", ".join(parts)[:_SHOWN]


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Who judged the questions of a collection, in which file and line, and when they were asked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from predator.adapters.collections.lines import read_lines, read_object
from predator.domain.documents import Collection
from predator.domain.gold_set import Human, Lineage, Provenance

_LONG = 200
_MILLISECONDS = 1e11
"""Unix seconds reach this in the year 5138, milliseconds reached it in 1973."""
_LATEST = 253402300800.0
"""The year 10000, where ISO 8601 ends."""


def beir_provenance(folder: Path, collection: Collection) -> Provenance:
    """What the BEIR ``folder`` says about the questions of the ``collection`` read from it.

    Judgments in ``qrels/*.tsv`` are people's, unless the query's line in ``queries.jsonl`` says
    something else: ``judgment_source`` (``judgment``, ``known_item``, or what it truly is, such
    as ``click``), ``judge``, ``judged_at``, and ``timestamp``, when it was asked (ISO 8601 or
    unix time), at the top or under ``metadata``. Where a query is judged in several splits, its
    lineage is that of the last one, as its judgments are.
    """
    said = _said(folder / "queries.jsonl")
    lineage: dict[str, Lineage] = {}
    for split, judgments in collection.splits.items():
        path = folder / "qrels" / f"{split}.tsv"
        digest, lines = _file_digest(path), _lines(path)
        for query, grades in judgments.items():
            about = said.get(query, {})
            lineage[query] = Lineage(
                source=_text(about.get("judgment_source", Human.JUDGMENT.value)),
                file=f"qrels/{split}.tsv",
                sha256=digest,
                lines=tuple(
                    sorted(lines[query, one] for one in grades if (query, one) in lines)
                ),
                judge=_text(about.get("judge", "")),
                at=_time(about.get("judged_at")),
            )  # fmt: skip
    asked = {query: _time(about.get("timestamp")) for query, about in said.items()}
    return Provenance(lineage, {query: at for query, at in asked.items() if at is not None})


def known_item_provenance(collection: Collection) -> Provenance:
    """Questions whose words the author of the one right document wrote about it."""
    name = f"{collection.name} {collection.manifest.get('harvester', '')}".strip()
    made = {
        query: Lineage(Human.KNOWN_ITEM.value, name, collection.digest, judge="the author")
        for judgments in collection.splits.values()
        for query in judgments
    }  # fmt: skip
    return Provenance(made, {})


def _said(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """What each query's line says besides its text."""
    found = {}
    for line in read_lines(path):
        record = read_object(line)
        metadata = record.get("metadata")
        inner = metadata if isinstance(metadata, dict) else {}
        found[str(record.get("_id"))] = {**inner, **record}
    return found


def _lines(path: Path) -> Mapping[tuple[str, str], int]:
    """The line of each (query, document); the file was read, and found sound, before."""
    found: dict[tuple[str, str], int] = {}
    for line in read_lines(path):
        cells = [cell.strip() for cell in line.text.split("\t")]
        if len(cells) == 1:
            cells = line.text.split()
        if len(cells) in (3, 4):
            found.setdefault((cells[0], cells[-2]), line.number)
    return found


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(value: object) -> str:
    text = (value if isinstance(value, str) else repr(value))[:_LONG]
    return text.encode("utf-8", "replace").decode()  # a "\\ud800" of somebody's JSON


def _time(value: object) -> float | None:
    """Unix seconds; ``None`` for what is no time, as free-form fields may hold anything."""
    if isinstance(value, str):
        try:
            at = float(value)
        except ValueError:
            try:
                moment = datetime.fromisoformat(value)
            except ValueError:
                return None
            at = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            at = float(value)
        except OverflowError:
            return None
    else:
        return None
    if abs(at) >= _MILLISECONDS:
        at /= 1000
    return at if math.isfinite(at) and 0 <= at < _LATEST else None

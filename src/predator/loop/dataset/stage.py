"""The DVC stage that builds a cycle's training set: inputs folder in, one CSV out.

Run as ``python -m predator.loop.dataset.stage INPUTS OUTPUT``. Inputs are files of JSON lines:
``documents`` (the sources), ``judged`` (judgments of training queries), ``like`` (other real
queries, to learn lengths from), ``written`` (what a query writer proposed: a model's words are an
input, so that the stage can be repeated without it); ``gold.txt``, Gold questions as hashed terms,
which must not enter in any words; ``spec.json`` (seed, count). Same inputs, same bytes out.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from predator.domain.documents import Document
from predator.domain.errors import InputError, PredatorError
from predator.learning.query_filters import Limits, Sieve, leaks
from predator.learning.query_generation import Generated, masked, sift
from predator.learning.query_text import clean_query
from predator.search.analyze import terms

COLUMNS = ("query_id", "query", "document_id", "grade", "source")
SPAN = "span"
"""The last column: the source's characters a generated query was taken from, ``start:end``."""
LONGEST = 100_000
"""Characters of a judged query or an id; readers of CSV refuse fields of more than 131,072."""

FILES = ("documents.jsonl", "judged.jsonl", "like.jsonl", "written.jsonl", "gold.txt", "spec.json")

Row = tuple[str, str, str, int, str]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Built:
    """The dataset's bytes, and how many queries each filter dropped.

    ``dropped`` has the names of :data:`~predator.learning.query_filters.FILTERS`, and
    ``judged_leak`` and ``judged_unusable`` for rows of judgments.
    """

    data: bytes
    dropped: Mapping[str, int]


def inputs(
    documents: Sequence[Document],
    judged: Sequence[tuple[str, str, str, int]],
    gold_marks: Sequence[str],
    count: int,
    seed: int,
    *,
    like: Sequence[str] = (),
    written: Sequence[Generated] = (),
) -> dict[str, bytes]:
    """The stage's input files; ``judged`` rows are (query id, query, document id, grade).

    ``gold_marks`` come from :func:`predator.learning.leakage.gold_marks`.
    """
    return {
        "documents.jsonl": _lines([d.id, d.title, d.text] for d in documents),
        "judged.jsonl": _lines(judged),
        "like.jsonl": _lines(like),
        "written.jsonl": _lines([one.query, one.document_id, one.method] for one in written),
        "gold.txt": "".join(f"{mark}\n" for mark in sorted(gold_marks)).encode(),
        "spec.json": json.dumps({"seed": seed, "count": count}, sort_keys=True).encode(),
    }


def build(folder: Path, progress: Progress = lambda _done, _wanted: None) -> Built:
    """The dataset from the input files in ``folder``."""
    return build_from({name: (folder / name).read_bytes() for name in FILES}, progress)


def build_from(
    files: Mapping[str, bytes], progress: Progress = lambda _done, _wanted: None
) -> Built:
    """The dataset from the files of :func:`inputs`; ``progress`` hears (generated, wanted).

    ``InputError`` where there are judgments, none of them says that a document is relevant, and
    nothing could be generated: no ranker can learn from that.
    """
    spec = json.loads(files["spec.json"])
    marks = files["gold.txt"].decode().splitlines()

    documents = [Document(*value) for value in _values(files["documents.jsonl"])]
    judged: list[Row] = [(*row, "judgment") for row in _values(files["judged.jsonl"])]
    usable = [row for row in judged if _usable(row)]
    texts = list(dict.fromkeys(row[1] for row in usable))
    leaking = {text for text, leak in zip(texts, leaks(texts, marks), strict=True) if leak}
    clean = [row for row in usable if row[1] not in leaking]
    other = list(_values(files["like.jsonl"]))
    like = [
        *(text for text in texts if text not in leaking),
        *(text for text, leak in zip(other, leaks(other, marks), strict=True) if not leak),
    ]
    count = int(spec["count"])
    sieve = Sieve(Limits.of(count, len(documents), like), marks)
    made = sift(
        documents,
        count,
        np.random.default_rng(spec["seed"]),
        sieve,
        like=like,
        written=_written(files["written.jsonl"], documents),
        progress=progress,
    )
    if clean and not made and max(row[3] for row in clean) <= 0:
        raise InputError(
            f"none of {len(clean)} judgments calls a document relevant, and no query could be "
            "generated",
            cure="Bring judgments with a grade above 0",
        )
    prefix = _prefix(row[0] for row in clean)
    table = [
        *((*row, "") for row in clean),
        *(
            (f"{prefix}{i:05d}", one.query, one.document_id, 1, one.method, _span(one))
            for i, one in enumerate(made)
        ),
    ]
    dropped = {
        **sieve.dropped,
        "judged_leak": len(usable) - len(clean),
        "judged_unusable": len(judged) - len(usable),
    }
    return Built(_csv(table), dropped)


def read_rows(data: bytes) -> list[Row]:
    """Rows of a dataset: (query id, query, document id, grade, source)."""
    return [(row[0], row[1], row[2], int(row[3]), row[4]) for row in _cells(data)]


def read_spans(data: bytes) -> dict[str, tuple[int, int]]:
    """Query id → the characters of the source's content that the query was taken from.

    For :func:`predator.learning.query_text.without`. Judged queries have none, nor do generated
    ones where nothing is to be taken out.
    """
    found: dict[str, tuple[int, int]] = {}
    for row in _cells(data):
        start, colon, end = row[5].partition(":") if len(row) > 5 else ("", "", "")
        if colon:
            found[row[0]] = int(start), int(end)
    return found


def masked_documents(data: bytes, documents: Sequence[Document]) -> dict[int, Document]:
    """The documents without what the dataset's queries were taken from, by their place in
    ``documents``; those that nothing was taken from are left out."""
    spans = read_spans(data)
    made = [
        Generated(text, document, source, spans[query_id])
        for query_id, text, document, _, source in read_rows(data)
        if query_id in spans
    ]
    sources = {one.document_id for one in made}
    places = [place for place, one in enumerate(documents) if one.id in sources]
    return dict(zip(places, masked([documents[place] for place in places], made), strict=True))


def _cells(data: bytes) -> list[list[str]]:
    try:
        rows = list(csv.reader(io.StringIO(data.decode(), newline="")))[1:]
        if any(len(row) < len(COLUMNS) or not row[3].lstrip("-").isdecimal() for row in rows):
            raise ValueError("a row lacks a column, or its grade is no whole number")
    except (ValueError, csv.Error) as error:
        raise InputError(f"this is no dataset: {error}", cure="Build it anew") from None
    return rows


def _usable(row: Row) -> bool:
    return bool(terms(row[1])) and max(map(len, (row[0], row[1], row[2]))) <= LONGEST


def _written(data: bytes, documents: Sequence[Document]) -> list[Generated]:
    known = {document.id for document in documents}
    return [
        Generated(clean_query(query), document, method)
        for query, document, method in _values(data)
        if document in known
    ]


def _prefix(ids: Iterable[str]) -> str:
    """What begins the ids of generated queries, and no other's."""
    prefix, taken = "gen-", tuple(ids)
    while any(one.startswith(prefix) for one in taken):
        prefix = f"gen{prefix}"
    return prefix


def _span(one: Generated) -> str:
    return f"{one.span[0]}:{one.span[1]}" if one.span is not None else ""


def _lines(values: Iterable[Any]) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def _values(data: bytes) -> Iterable[Any]:
    return map(json.loads, data.splitlines())


def _csv(rows: Sequence[tuple[str, str, str, int, str, str]]) -> bytes:
    buffer = io.StringIO(newline="")
    # Quotes around every string: without them a lone carriage return would end the row.
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow([*COLUMNS, SPAN])
    writer.writerows(rows)
    return buffer.getvalue().encode("utf-8", "replace")  # half a surrogate pair is no text


def main() -> int:
    """``argv``: the folder of inputs, the CSV to write. What was dropped goes to the output."""
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        built = build(folder)
    except PredatorError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".partial")
    partial.write_bytes(built.data)
    os.replace(partial, output)  # noqa: PTH105 - atomic on the same file system
    sys.stdout.write(json.dumps({"dropped": built.dropped}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

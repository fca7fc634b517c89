"""The DVC stage that builds a cycle's training set: inputs folder in, one CSV out.

Run as ``python -m predator.loop.dataset_stage INPUTS OUTPUT``. Inputs: ``documents.jsonl`` (the
sources), ``judged.csv`` (judgments of training queries), ``gold.txt`` (fingerprints of queries
that must not enter, generated or judged), ``spec.json`` (seed, count, term frequencies). Same
inputs, same bytes out.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from predator.domain.documents import Document
from predator.loop.augment import Generated, fingerprint, generate, keep

COLUMNS = ("query_id", "query", "document_id", "grade", "source")


def inputs(
    documents: Sequence[Document],
    judged: Sequence[tuple[str, str, str, int]],
    gold_marks: Sequence[str],
    frequency: dict[str, int],
    count: int,
    seed: int,
) -> dict[str, bytes]:
    """The stage's input files; ``judged`` rows are (query id, query, document id, grade)."""
    lines = [json.dumps({"id": d.id, "title": d.title, "text": d.text}) for d in documents]
    rows = [(*row, "judgment") for row in judged]
    spec = {"seed": seed, "count": count, "frequency": frequency}
    return {
        "documents.jsonl": ("\n".join(lines) + "\n").encode(),
        "judged.csv": _csv(rows),
        "gold.txt": ("\n".join(sorted(gold_marks)) + "\n").encode(),
        "spec.json": json.dumps(spec, sort_keys=True).encode(),
    }


def build(folder: Path) -> tuple[bytes, dict[str, int]]:
    """The dataset's bytes and how many rows each filter dropped."""
    spec = json.loads((folder / "spec.json").read_text())
    documents = [
        Document(value["id"], value["title"], value["text"])
        for line in (folder / "documents.jsonl").read_text().splitlines()
        if line.strip()
        for value in [json.loads(line)]
    ]
    forbidden = frozenset((folder / "gold.txt").read_text().split())
    rng = np.random.default_rng(spec["seed"])
    made = generate(documents, spec["frequency"], spec["count"], rng)
    filtered = keep(made, forbidden, spec["count"])
    judged = read_rows((folder / "judged.csv").read_bytes())
    clean = [row for row in judged if fingerprint(row[1]) not in forbidden]
    rows = [*clean, *(_row(i, one) for i, one in enumerate(filtered.kept))]
    return _csv(rows), {**filtered.dropped, "judged_leak": len(judged) - len(clean)}


def read_rows(data: bytes) -> list[tuple[str, str, str, int, str]]:
    """Rows of a dataset: (query id, query, document id, grade, source)."""
    reader = csv.reader(io.StringIO(data.decode(), newline=""))
    next(reader, None)
    return [(row[0], row[1], row[2], int(row[3]), row[4]) for row in reader]


def _row(number: int, one: Generated) -> tuple[str, str, str, int, str]:
    return f"gen-{number:05d}", one.query, one.document_id, 1, one.method


def _csv(rows: Sequence[tuple[str, str, str, int, str]]) -> bytes:
    buffer = io.StringIO(newline="")
    # Quotes around every string: without them a lone carriage return would end the row.
    writer = csv.writer(buffer, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return buffer.getvalue().encode()


def main() -> None:
    folder, output = Path(sys.argv[1]), Path(sys.argv[2])
    data, dropped = build(folder)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, output)  # noqa: PTH105 - atomic on the same file system
    sys.stdout.write(json.dumps({"dropped": dropped}) + "\n")


if __name__ == "__main__":
    main()

"""Queries that a writer proposes for a cycle's sources, and what is told of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from predator.domain.documents import Document
from predator.domain.errors import InputError, PredatorError
from predator.learning.query_generation import MOST_PASSES, Generated
from predator.ports.query_writer import QueryWriter

Told = Mapping[str, Any]
"""The writer's name, what it spent in this call, and why it stopped, where it did."""


def ask(
    writer: QueryWriter | None,
    documents: Sequence[Document],
    count: int,
    progress: Callable[[int, int], None],
) -> tuple[list[Generated], Told | None]:
    """About ``count`` queries over ``documents``, and what the manifest says of the writer.

    A service that is down takes nothing from a cycle but its own words: the built-in methods do
    without. A writer that cannot work as it is set is the ``InputError`` of whoever set it.
    """
    if writer is None or not documents or count <= 0:
        return [], None
    each = min(MOST_PASSES, math.ceil(count / len(documents)))
    before = asdict(writer.spent())
    failure = ""
    made: list[Generated] = []
    try:
        pairs = writer.write(documents, each, progress)
        made = [Generated(query, document, writer.name) for query, document in pairs]
    except InputError:
        raise
    except PredatorError as error:
        failure = error.cause
    spent = {key: round(n - before[key], 9) for key, n in asdict(writer.spent()).items()}
    told = {"name": writer.name, "proposed": len(made), **spent}
    return made, {**told, "failure": failure} if failure else told


def counts(
    rows: Sequence[tuple[str, str, str, int, str]], dropped: Mapping[str, int] | None
) -> dict[str, float]:
    """A dataset's rows as metrics of a run: made and judged, and what each filter dropped."""
    made = sum(row[4] != "judgment" for row in rows)
    found = {"generated_examples": float(made), "judged_rows": float(len(rows) - made)}
    return found | {f"dropped_{name}": float(n) for name, n in (dropped or {}).items()}

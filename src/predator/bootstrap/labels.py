"""The judged queries of a run: kept by role, their Gold sealed, and opened only if it is whole."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from predator.bootstrap.home import Run
from predator.bootstrap.platform import objects_of
from predator.domain.canonical import canonical_json
from predator.domain.documents import Collection, Query
from predator.domain.errors import InputError, IntegrityError
from predator.domain.gold_set import Provenance
from predator.learning.leakage import nearest
from predator.loop.gold.report import GoldNow, readings
from predator.loop.gold.sets import (
    CURE,
    GoldSets,
    Sealed,
    keep_documents,
    open_gold,
    write_private,
)
from predator.loop.labels import Labels


def provenance_of(data: Path | None, collection: Collection) -> Provenance:
    """Who judged the questions of ``collection``, read from ``data`` (``None``: the embedded)."""
    from predator.adapters.collections import lineage

    if data is not None:
        return lineage.beir_provenance(data, collection)
    return lineage.known_item_provenance(collection)


def gold_sets_of(run: Run) -> GoldSets:
    """The versions of a run's Gold set."""
    return GoldSets(objects_of(run.folder), run.folder / "gold-set.json")


def seal_labels(run: Run, labels: Labels, documents: Sequence[str]) -> Labels:
    """``labels`` with their Gold sealed, as judged over ``documents`` (ids), and kept beside the
    platform for its optimizer, for the owner's eyes alone.

    Gold itself is not in that file: it is the sealed object that the file names. ``InputError``
    where the Gold has no lineage.
    """
    if labels.gold_set is None:
        raise InputError("nobody says who judged the Gold queries, so they cannot be sealed")
    objects = objects_of(run.folder)
    seen = keep_documents(objects, documents)
    sealed = gold_sets_of(run).supersede(replace(labels.gold_set, documents=seen), time.time())
    objects.path(sealed.digest).chmod(0o400)
    made = replace(labels, gold_set=sealed.gold, seal=sealed.digest)
    gold = {query.id for query in labels.gold}
    value = {
        "training": [asdict(query) for query in labels.training],
        "live": [asdict(query) for query in labels.live],
        "gold_set": made.seal,
        "judgments": {q: dict(grades) for q, grades in labels.judgments.items() if q not in gold},
    }
    write_private(run.folder / "labels.json", canonical_json(value))
    return made


def labels_of(run: Run) -> Labels:
    """The judged queries of a platform; ``InputError`` where it has none.

    ``IntegrityError`` where the seal of their Gold is broken, or where the file would let the
    loop learn from what a Gold question says.
    """
    value = _read(run)
    gold_set = open_gold(objects_of(run.folder), value["gold_set"])
    gold = tuple(Query(row.query, row.text) for row in gold_set.rows)
    training, live = ([Query(**q) for q in value[role]] for role in ("training", "live"))
    held = {query.id for query in gold}
    near = nearest([query.text for query in training], [query.text for query in gold])
    for query, found in zip(training, near, strict=True):
        if found >= 0 or query.id in held:
            raise IntegrityError(
                f"labels.json would have training query {query.id!r:.80} learnt from, and Gold "
                f"holds {gold[found].id if found >= 0 else query.id!r:.80}, which says the same",
                cure=CURE,
            )
    return Labels(
        tuple(training),
        tuple(query for query in live if query.id not in held),
        gold,
        {**value["judgments"], **{row.query: row.grades for row in gold_set.rows}},
        gold_set,
        value["gold_set"],
    )


def _read(run: Run) -> Mapping[str, Any]:
    try:
        value = json.loads((run.folder / "labels.json").read_bytes())
        for role in ("training", "live"):
            value[role] = [{"id": str(q["id"]), "text": str(q["text"])} for q in value[role]]
        known = {
            str(query): {str(document): int(grade) for document, grade in grades.items()}
            for query, grades in value["judgments"].items()
        }
        return {**value, "judgments": known, "gold_set": str(value["gold_set"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{run.folder} holds no judged queries to learn from", cure="run `predator run` first"
        ) from error


def gold_now(run: Run, at: float) -> GoldNow:
    """The Gold set that a platform's loop goes by, and how stale it is at ``at`` (unix s).

    ``PredatorError`` where there is none, where it is not whole, or where the platform's
    documents cannot be read.
    """
    from predator.adapters.platform.records import PlatformRecords

    labels = labels_of(run)
    documents = frozenset(PlatformRecords(run.database).arrivals())
    return GoldNow(
        Sealed(labels.seal, open_gold(objects_of(run.folder), labels.seal)),
        gold_sets_of(run).versions(),
        readings(labels, objects_of(run.folder), documents, at),
    )

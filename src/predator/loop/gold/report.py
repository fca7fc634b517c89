"""What an evaluation says about the Gold set that it was made on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.errors import IntegrityError
from predator.domain.gold_set import GoldSet, content_of
from predator.domain.readings import NoData, Reading
from predator.learning.leakage import nearest
from predator.loop.gold.readings import bias, shown, staleness, unjudged
from predator.loop.gold.sets import CURE, Sealed, known_documents, open_gold
from predator.loop.labels import Labels
from predator.ports.object_store import ObjectStore

UNSEALED = NoData("the Gold queries are not sealed")


@dataclass(frozen=True, slots=True)
class GoldNow:
    """The Gold set in force on a platform, every version of it (newest first), its readings."""

    sealed: Sealed
    versions: Sequence[Sealed]
    readings: Mapping[str, Reading]

    def to_json(self) -> dict[str, Any]:
        return {
            **describe(self.sealed.gold, self.sealed.digest),
            "readings": {name: shown(one) for name, one in self.readings.items()},
            "versions": [
                {"version": one.gold.version, "digest": one.digest, "sealed_at": one.gold.sealed_at}
                for one in self.versions
            ],
        }


def check_seal(objects: ObjectStore, labels: Labels) -> None:
    """``IntegrityError`` where what the labels call Gold is not what their seal holds.

    Labels that say who judged have to be sealed; those that were made up have no seal to break.
    """
    if labels.gold_set is None and not labels.seal:
        return
    if not labels.seal:
        raise IntegrityError("the Gold set was never sealed, nothing is evaluated on it", cure=CURE)
    kept = open_gold(objects, labels.seal)
    held = [(query.id, query.text, dict(labels.judgments[query.id])) for query in labels.gold]
    if held != [(row.query, row.text, dict(row.grades)) for row in kept.rows]:
        raise IntegrityError(
            f"the Gold queries are not those that version {kept.version} sealed", cure=CURE
        )


def check_apart(texts: Sequence[str], labels: Labels) -> None:
    """``IntegrityError`` where one of the training ``texts`` says what a Gold question says.

    The stage that builds the data drops such rows; this is the last look before they are learnt.
    """
    found = nearest(texts, [query.text for query in labels.gold])
    leaks = [text for text, gold in zip(texts, found, strict=True) if gold >= 0]
    if leaks:
        raise IntegrityError(
            f"{len(leaks)} of {len(texts)} training queries say what a Gold question says, "
            f"the first is {leaks[0]!r:.80}: nothing is trained on them",
            cure="Build the dataset anew: its stage drops what is a near-duplicate of Gold",
        )


def content(labels: Labels) -> str:
    """Names the Gold queries by content: two NDCGs on other queries cannot be compared."""
    return content_of((query.text, labels.judgments[query.id]) for query in labels.gold)


def report(
    labels: Labels,
    objects: ObjectStore,
    documents: Set[str],
    rankings: Mapping[str, Mapping[str, Sequence[str]]],
    at: float,
) -> dict[str, Any]:
    """``gold`` of evaluation.json; ``rankings`` by ``baseline`` and ``candidate``, then query.

    ``bias`` is empty, or says why the candidate may be better than its score.
    """
    judgments = {query.id: labels.judgments[query.id] for query in labels.gold}
    return {
        **describe(labels.gold_set, labels.seal),
        "readings": {
            name: shown(one) for name, one in readings(labels, objects, documents, at).items()
        },
        "unjudged_at_10": {
            name: shown(unjudged(ranked, judgments, at)) for name, ranked in rankings.items()
        },
        "bias": bias(rankings["candidate"], rankings["baseline"], judgments),
    }


def readings(
    labels: Labels, objects: ObjectStore, documents: Set[str], at: float
) -> Mapping[str, Reading]:
    """The staleness of the labels' Gold against ``documents`` (ids), the corpus of now."""
    if labels.gold_set is None or not labels.seal:
        names = ("seal_age_s", "judgment_age_s", "new_documents", "gone_documents")
        return dict.fromkeys(names, UNSEALED)
    return staleness(
        labels.gold_set, known_documents(objects, labels.gold_set), documents, at
    )  # fmt: skip


def describe(gold: GoldSet | None, seal: str) -> dict[str, Any]:
    """Version, digest, size, lineage and split of a Gold set, without its questions."""
    if gold is None:
        return {"version": None, "digest": None}
    return {
        "version": gold.version,
        "digest": seal or None,
        "content": gold.content,
        "supersedes": gold.supersedes or None,
        "sealed_at": gold.sealed_at,
        "collection": gold.name,
        "queries": len(gold.rows),
        "judgments": sum(len(row.grades) for row in gold.rows),
        "sources": dict(gold.sources),
        "split": asdict(gold.split),
    }

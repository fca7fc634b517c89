"""What a cycle enters into the ledger of its Gold set: a reading before it, an outcome after it."""

from __future__ import annotations

from predator.domain.verdicts import Verdict
from predator.learning.leakage import near_duplicates
from predator.loop.gold.report import content
from predator.loop.gold.sets import open_gold
from predator.loop.labels import Labels
from predator.loop.record import Record
from predator.ports.ledger import GoldReading
from predator.ports.object_store import ObjectStore
from predator.ports.runtime import Json
from predator.statistics.ledger import Kind


def row_of(objects: ObjectStore, labels: Labels) -> str:
    """The row of readings that the labels' Gold set goes on with: the content digest of the
    oldest version that it has a question in common with, by itself or through versions between.

    A row that began anew with every changed judgment would be a new error level for each. Only a
    set of other questions starts one; ``IntegrityError`` where an older version is not whole.
    """
    gold = labels.gold_set
    if gold is None or not labels.seal:
        return content(labels)
    family, first = {row.text for row in gold.rows}, gold
    while gold.supersedes:
        gold = open_gold(objects, gold.supersedes)
        texts = {row.text for row in gold.rows}
        if texts & family or near_duplicates(sorted(texts), sorted(family)).any():
            family, first = family | texts, gold
    return first.content


def reserve(record: Record, labels: Labels, number: int) -> GoldReading:
    """Spend one reading of Gold for evaluation ``number`` of the cycle; again, the same one.

    Call it before anything of Gold is scored: a crash later leaves it spent.
    """
    ring = record.ring
    return ring.governance.ledger.reserve(
        row_of(ring.objects, labels),
        _key(record, number),
        ring.clock.now(),
        kind=Kind.LOND,
        alpha=record.options.alpha,
    )


def settle(record: Record, reading: GoldReading, number: int, verdict: str) -> Json:
    """Enter whether the candidate passed, and how the ledger stood for it, for people."""
    ring = record.ring
    ring.governance.ledger.settle(
        reading.gold_set,
        _key(record, number),
        ring.clock.now(),
        discovery=verdict == Verdict.PASS,
    )
    return {
        "kind": reading.kind,
        "gold_set": reading.gold_set,
        "index": reading.index,
        "alpha": reading.alpha,
        "level": reading.level,
        "spent": reading.spent,
        "discoveries": len(reading.discovered),
        "left": reading.left,
    }


def _key(record: Record, number: int) -> str:
    return f"{record.cycle_id}:{number}"

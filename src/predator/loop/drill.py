"""The drill: a deliberately bad release is pushed the same way, and must be caught and undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from predator.domain.documents import Query
from predator.domain.release import Release
from predator.domain.verdicts import WatchDecision
from predator.learning import lambdamart
from predator.learning.examples import collect
from predator.loop.labels import Labels
from predator.loop.live import run_watch, watch_baseline
from predator.loop.replica import Replica, keep_release
from predator.loop.ring import Record, Ring
from predator.loop.rollback import Restored, Rollback, withdraw
from predator.policy.decision import Principal
from predator.search.desired import Holdback, LiveRelease
from predator.search.rerank import dump_reranker
from predator.search.serving.agent import load_release

DRILL = Principal("drill", "scheduled drill")
OPERATOR = Principal("operator", "scheduled drill")
"""Who takes the bad release back: to push it and to roll it back are two different rights."""
LESSONS = 60


@dataclass(frozen=True, slots=True)
class Drilled:
    """What the drill showed. ``detected_s`` counts from the moment the bad release was live."""

    caught: bool
    detected_s: float | None
    restored: Restored | None
    looks: Sequence[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        restored = self.restored
        return {
            "caught": self.caught,
            "detected_s": self.detected_s,
            "restored_s": restored.restored_s if restored else None,
            "git_s": restored.git_s if restored else None,
            "reverts": restored.reverts if restored else 0,
            "looks": list(self.looks),
        }


def drill(ring: Ring, cycle_id: str, labels: Labels) -> Drilled:
    """Push a bad release, watch it, roll it back; all of it on the record of ``cycle_id``."""
    record = Record(ring, cycle_id, {"type": "drill"}, principal=DRILL)
    try:
        found = _drill(record, labels)
    except BaseException as error:
        try:
            record.principal = OPERATOR
            withdraw(record)
        finally:
            record.abandon("interrupted" if isinstance(error, KeyboardInterrupt) else "error")
        raise
    record.write("drill.json", found.to_json())
    record.close("success" if found.caught else "missed", rollback_available=True)
    return found


def bad_release(replica: Replica, live: Release, queries: Sequence[Query], seed: int) -> Release:
    """The live release with a reranker trained on inverted labels: a mistake that happens."""
    examples = collect(replica.index, replica.encoder, queries, {query.id: {} for query in queries})
    inverted = []
    for one in lambdamart.prepare(replica.index, examples, live.retrieval):
        worst = np.arange(len(one.grades)) >= 0.8 * len(one.grades)
        inverted.append(replace(one, grades=worst.astype(np.int64)))
    model = lambdamart.train(inverted, trees=20, seed=seed, base_weight=0.0)
    reranker = replica.objects.put(dump_reranker(model.text, model.base_weight))
    release = replace(live, reranker=reranker)
    keep_release(replica.objects, release)
    return release


def _drill(record: Record, labels: Labels) -> Drilled:
    ring = record.ring
    ring.progress.station("drill", "a deliberately bad release is pushed the same way")
    good = ring.desired.read().release
    replica = Replica.of(ring.corpus.documents(), ring.encoder, ring.encode_all, ring.objects)
    queries = [*labels.live, *labels.training][:LESSONS]
    live = load_release(ring.objects.get(good.digest))
    bad = bad_release(replica, live, queries, ring.options.seed)
    release = LiveRelease(f"{good.version}-drill", bad.digest, record.cycle_id)
    holdback = Holdback(f"watch-{record.cycle_id}", good.digest, ring.options.holdback_share)

    def push() -> str:
        revision = ring.desired.set_release(
            release,
            holdback,
            f"Drill: push a deliberately bad release ({record.cycle_id})",
            {"Cycle": record.cycle_id, "Step": "drill", "Release": bad.digest},
        )
        ring.deployer.wait(revision, 30)
        return revision

    baseline = watch_baseline(record, good)
    revision = record.act("deploy", "drill", push, lambda made: {"gitops_revision": made})
    since = ring.clock.now()
    looks, decision = run_watch(record, good, baseline)
    caught = decision is WatchDecision.ROLL_BACK
    detected = round(ring.clock.now() - since, 3) if caught else None
    why = looks[-1]["reason"] if caught else "the drill was not caught by the watch"
    record.principal = OPERATOR
    restored = Rollback(record).run(revision, good, why)
    return Drilled(caught, detected, restored, looks)

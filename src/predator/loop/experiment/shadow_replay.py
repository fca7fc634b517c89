"""Recorded queries, asked again of two releases side by side; nothing of it reaches a user."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from predator.loop.experiment.shadow import Replayed
from predator.loop.experiment.view import SHADOW
from predator.loop.record import Record
from predator.loop.stations import Stations
from predator.ports.feedback import Feedback
from predator.ports.runtime import Json
from predator.search.desired import LiveRelease
from predator.search.engine import Engine
from predator.statistics.rank_overlap import overlap_at, rank_biased_overlap

DEPTH = 10
WARM_UP = 10
"""Queries asked once before anything is timed: the first ones pay for what is loaded late."""
LOOK_BACK_S = 7 * 86_400.0
"""How far back queries are read: a week has every day of the week."""


def recorded_queries(feedback: Feedback, until: float, most: int) -> list[str]:
    """Up to ``most`` different texts that users asked in the week before ``until``,
    newest first."""
    served = feedback.impressions(until - LOOK_BACK_S, until)
    return list(dict.fromkeys(one.query for one in reversed(served)))[:most]


def replay(
    baseline: Engine,
    candidate: Engine,
    texts: Sequence[str],
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Replayed:
    """Ask both for each of ``texts``, in turn first, so that what the machine does hits both."""
    engines = {"baseline": baseline, "candidate": candidate}
    for text in texts[:WARM_UP]:
        for engine in engines.values():
            _asked(engine, text, clock)
    rows: dict[str, list[tuple[list[int] | None, float]]] = {name: [] for name in engines}
    for turn, text in enumerate(texts):
        for name in ("baseline", "candidate") if turn % 2 else ("candidate", "baseline"):
            rows[name].append(_asked(engines[name], text, clock))
        progress(turn + 1, len(texts))
    old, new = rows["baseline"], rows["candidate"]
    both = [
        (before, after)
        for (before, _), (after, _) in zip(old, new, strict=True)
        if before is not None and after is not None
    ]
    return Replayed(
        [found is None for found, _ in old],
        [found is None for found, _ in new],
        [len(found or ()) for found, _ in old],
        [len(found or ()) for found, _ in new],
        [ms for _, ms in old],
        [ms for _, ms in new],
        [overlap_at(before, after, DEPTH) for before, after in both],
        [rank_biased_overlap(before, after) for before, after in both],
    )


def run_shadow(
    record: Record, stations: Stations, before: LiveRelease, candidate: str
) -> Json | None:
    """Replay what users asked before anybody is given ``candidate``; ``None`` where it is off."""
    if record.options.shadow_queries <= 0:
        return None
    record.ring.progress.station("shadow", "recorded queries, answered by both releases")
    found = record.act(
        "shadow",
        "evaluate",
        lambda: stations.shadow(record, before, candidate),
        lambda said: {"verdict": said["verdict"], "queries": said["queries"]},
    )
    written = {"cycle_id": record.cycle_id, "release": candidate, **found}
    record.step("shadow_results", lambda: record.write(SHADOW, written).name)
    record.ring.progress.note(f"{found['verdict']}: {found['reason']}")
    return written


def _asked(engine: Engine, text: str, clock: Callable[[], float]) -> tuple[list[int] | None, float]:
    """The rows, or ``None`` where the release failed, and how long it took in ms."""
    started = clock()
    try:
        rows = engine.rank(text, DEPTH).rows.tolist()
    except Exception:
        # Whatever a release raises, users would have had no answer: that is what is counted.
        return None, (clock() - started) * 1e3
    return rows, (clock() - started) * 1e3

"""Latency and cost of two releases, measured interleaved in one run, so that drift cancels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from predator.domain.documents import Query
from predator.search.engine import Engine

ROUNDS = 150


@dataclass(frozen=True, slots=True)
class Profile:
    """p95 of both in ms, and the candidate's CPU seconds per search."""

    baseline_p95_ms: float
    candidate_p95_ms: float
    candidate_cpu_s: float


def profile(
    baseline: Engine, candidate: Engine, queries: Sequence[Query], rounds: int = ROUNDS
) -> Profile | None:
    """Answer the same queries with both in turn; ``None`` without queries."""
    if not queries:
        return None
    asked = [queries[i % len(queries)].text for i in range(rounds)]
    wall: dict[str, list[float]] = {"baseline": [], "candidate": []}
    cpu = 0.0
    engines = {"baseline": baseline, "candidate": candidate}
    for text in asked[:10]:
        for engine in engines.values():
            engine.rank(text, 10)
    for turn, text in enumerate(asked):
        names = ("baseline", "candidate") if turn % 2 else ("candidate", "baseline")
        for name in names:
            started, used = time.perf_counter(), time.thread_time()
            engines[name].rank(text, 10)
            wall[name].append((time.perf_counter() - started) * 1e3)
            cpu += (time.thread_time() - used) if name == "candidate" else 0.0
    return Profile(_p95(wall["baseline"]), _p95(wall["candidate"]), cpu / len(asked))


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]

"""What serving a candidate would cost, tried before it is submitted; and how many candidates of a
search a cross-encoder can read in the time that the latency gate leaves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from predator.domain.canonical import sha256_hex
from predator.domain.documents import Query
from predator.domain.errors import IntegrityError
from predator.loop.evaluate import Gates, Measured
from predator.loop.profile import profile
from predator.loop.training.submit import Offered, fits
from predator.ports.object_store import ObjectStore
from predator.search.engine import Engine
from predator.search.rankers import Scorer

TRIAL_ROUNDS = 20
"""Searches that say whether a candidate that reads texts could be served at all."""
READ_ROUNDS = 20
"""Questions that say how long reading takes."""
ROOM_SHARE = 0.8
"""Of the room that the gate leaves: it measures again, when the machine may be busier, and trees
take their part of it."""


class Detailed(Protocol):
    """A candidate of a portfolio."""

    @property
    def name(self) -> str: ...

    @property
    def details(self) -> Mapping[str, float]: ...


C = TypeVar("C", bound=Detailed)


def offered(
    candidates: Iterable[C], gates: Gates, measure: Callable[[C], Measured]
) -> list[Offered]:
    """The candidates (best first) as :func:`.submit.submit` asks for them, up to
    the first that fits: what comes after it need not be measured."""
    found = []
    for one in candidates:
        # Whoever reads texts says in how much time.
        tried = measure(one) if "budget_ms" in one.details else None
        found.append(Offered(one.name, tried))
        if tried is None or fits(tried, gates):
            break
    return found


def measured(
    before: Engine,
    after: Engine,
    queries: Sequence[Query],
    cpu_hour_usd: float,
    rounds: int = TRIAL_ROUNDS,
) -> Measured:
    """Latency of both and the price of ``after``; nothing of it without queries."""
    found = profile(before, after, queries, rounds)
    if found is None:
        return Measured(None, None, None)
    cost = found.candidate_cpu_s * 1000 / 3600 * cpu_hour_usd
    return Measured(found.baseline_p95_ms, found.candidate_p95_ms, cost)


def p95_ms(live: Engine, queries: Sequence[Query]) -> float | None:
    """How long a search takes now at the 95th percentile; ``None`` without queries to measure it
    with."""
    found = profile(live, live, queries, TRIAL_ROUNDS)
    return None if found is None else found.baseline_p95_ms


def readable_depth(
    scorer: Scorer,
    asked: Sequence[tuple[str, Sequence[str]]],
    room: float,
    clock: Callable[[], float] = time.thread_time,
) -> int:
    """How many candidates ``scorer`` reads within its share of ``room`` ms, of 95% of searches.

    ``asked`` are questions with their candidates' texts, as many as it would read at most. The
    processor's time is measured: what else the machine does meanwhile says nothing of serving.
    """
    some = [one for one in asked if one[1]][:READ_ROUNDS]
    if not some:
        return 0
    most = max(len(texts) for _, texts in some)
    spent = np.zeros((len(some), most))
    scorer.score(some[0][0], some[0][1][:1])  # the first run of a session is slower than all others
    for row, (query, texts) in enumerate(some):
        for place, text in enumerate(texts):
            began = clock()
            scorer.score(query, [text])
            spent[row, place] = clock() - began
    ms = np.sort(1000 * np.cumsum(spent, axis=1), axis=0)
    p95 = ms[int(0.95 * (len(some) - 1))]
    return int((p95 <= ROOM_SHARE * room).sum())


@dataclass(frozen=True, slots=True)
class Beside:
    """A store that has some objects of its own, so that a trial leaves none in the other."""

    store: ObjectStore
    own: dict[str, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> str:
        digest = sha256_hex(data)
        self.own[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        found = self.own.get(digest)
        return self.store.get(digest) if found is None else found

    def path(self, digest: str) -> Path:
        if digest in self.own:
            raise IntegrityError(f"object {digest:.12} is in memory alone")
        return self.store.path(digest)

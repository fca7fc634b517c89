"""What reading texts would cost is tried before it is promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from predator.adapters.object_store.memory import MemoryObjectStore
from predator.domain.canonical import sha256_hex
from predator.domain.errors import IntegrityError
from predator.domain.release import RetrievalParameters
from predator.learning.measures import Scores
from predator.loop.evaluate import Gates, Measured
from predator.loop.train import Trained
from predator.loop.training.affordable import (
    ROOM_SHARE,
    Beside,
    measured,
    offered,
    p95_ms,
    readable_depth,
)
from tests.learning.worlds import world
from tests.search.fakes import engine

GATES = Gates(0.03, -0.02, 0.15, 50, 0.5, 0.05, 0.8)
FAST, SLOW = Measured(5.0, 45.0, 0.001), Measured(5.0, 213.0, 0.003)


def candidate(name: str, *, reads: bool) -> Trained:
    details = {"budget_ms": 400.0} if reads else {}
    return Trained(name, RetrievalParameters(), None, Scores((), {}), details)


def test_only_what_reads_texts_is_tried_and_nothing_after_the_first_that_fits() -> None:
    tried: list[str] = []

    def measure(one: Trained) -> Measured:
        tried.append(one.name)
        return SLOW if one.name == "deep" else FAST

    row = [
        candidate("deep", reads=True),
        candidate("shallow", reads=True),
        candidate("other", reads=True),
        candidate("trees", reads=False),
    ]
    assert [one.name for one in offered(row, GATES, measure)] == ["deep", "shallow"]
    assert tried == ["deep", "shallow"]
    assert [one.tried for one in offered(row[3:], GATES, measure)] == [None]


@dataclass
class Reader:
    """Takes a millisecond for each character, by its own clock."""

    now: float = 0.0

    def score(
        self, query: str, documents: Sequence[str], *, budget_ms: float | None = None
    ) -> NDArray[np.float64]:
        self.now += sum(map(len, documents)) / 1000
        return np.zeros(len(documents))

    def depth(self, asked: Sequence[tuple[str, Sequence[str]]], room: float) -> int:
        return readable_depth(self, asked, room, lambda: self.now)


def test_as_many_are_read_as_there_is_time_for() -> None:
    asked = [("q", ["x" * 4] * 30)] * 20
    assert Reader().depth(asked, 4 * 10.5 / ROOM_SHARE) == 10
    assert Reader().depth(asked, 1e6) == 30
    assert Reader().depth(asked, 1.0) == 0
    assert Reader().depth([], 1e6) == 0
    assert Reader().depth([("q", [])], 1e6) == 0


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=8), max_size=25),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_more_room_is_never_less_depth(lengths: list[list[int]], room: float, more: float) -> None:
    asked = [("q", ["x" * n for n in one]) for one in lengths]
    shallow, deep = Reader().depth(asked, room), Reader().depth(asked, room + more)
    assert 0 <= shallow <= deep <= max(map(len, lengths), default=0)


def test_without_queries_nothing_is_measured() -> None:
    small = world(10)
    live = engine(small.index, None, fusion="rrf")
    assert p95_ms(live, []) is None
    assert measured(live, live, [], 0.05) == Measured(None, None, None)
    found = measured(live, live, small.queries, 0.05)
    assert found.cost_per_1k_usd is not None and found.cost_per_1k_usd >= 0
    assert found.latency_p95_ms_candidate is not None
    assert (p95_ms(live, small.queries) or 0) > 0


def test_a_trial_leaves_nothing_in_the_store() -> None:
    store = MemoryObjectStore()
    kept = store.put(b"kept")
    beside = Beside(store)
    own = beside.put(b"own")
    assert (beside.get(kept), beside.get(own)) == (b"kept", b"own")
    assert own == sha256_hex(b"own")
    with pytest.raises(IntegrityError):
        store.get(own)
    with pytest.raises(IntegrityError):
        beside.path(own)

"""A cross-encoder becomes candidates that read as much as there will be time for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from predator.domain.release import RetrievalParameters
from predator.learning import lambdamart
from predator.learning.cross_encoder import REPORT, Plan
from predator.learning.stacking import Lessons, Stacked
from predator.loop.train import Budget
from predator.loop.training import learn
from predator.loop.training.learn import Learner, Learnt
from predator.loop.training.text_rankers import NAME, SHALLOW, Serving
from predator.search.index import Index
from tests.learning.worlds import World, world
from tests.search.fakes import HashedEncoder
from tests.search.pair_models import Objects, exported


@dataclass
class OneSpace:
    index: Index

    def seen_by(self, digest: str) -> tuple[Index, HashedEncoder]:
        return self.index, HashedEncoder()


@pytest.fixture(scope="module")
def small() -> World:
    return world(30, noise=True)


def knowing(lessons: Lessons, plan: Plan) -> Stacked:
    """A reader that knows the answers."""
    scores = [
        np.asarray([one.grades.get(text, 0) for text in one.candidates], float)
        for one in lessons.questions
    ]
    return Stacked({**exported().files, REPORT: b"{}"}, scores, [])


def learnt(
    small: World, monkeypatch: pytest.MonkeyPatch, depth: int, room_ms: float | None = 40.0
) -> Learnt:
    def measured(scorer: object, asked: Sequence[tuple[str, Sequence[str]]], room: float) -> int:
        assert room == room_ms
        assert all(len(texts) <= Serving().depth for _, texts in asked)
        return depth

    monkeypatch.setattr(learn, "readable_depth", measured)
    monkeypatch.setattr(lambdamart, "MAX_TREES", 3)
    learner = Learner(
        OneSpace(small.index), 0, 1, Budget(), lambda *_: None,
        read=knowing, put=Objects().put, room_ms=room_ms,
    )  # fmt: skip
    return learner.learn("", RetrievalParameters(), small.queries, small.judgments)


def depths(found: Learnt) -> dict[str, float]:
    return {one.name: one.details["depth"] for one in found.candidates if "weight" in one.details}


def test_what_there_is_no_time_for_gets_a_sibling_that_reads_less(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = learnt(small, monkeypatch, depth=5)
    assert depths(found) == {NAME: 30.0, SHALLOW: 5.0}
    assert {f"lambdamart+{NAME}", f"lambdamart+{SHALLOW}"} < {x.name for x in found.candidates}


@pytest.mark.parametrize(("depth", "room"), [(30, 40.0), (5, None)])
def test_where_there_is_time_or_nobody_measured_it_there_is_none(
    small: World, monkeypatch: pytest.MonkeyPatch, depth: int, room: float | None
) -> None:
    found = learnt(small, monkeypatch, depth, room)
    assert depths(found) == {NAME: 30.0}
    assert SHALLOW not in found.left_out


def test_where_there_is_time_for_next_to_nothing_it_is_said(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = learnt(small, monkeypatch, depth=1)
    assert depths(found) == {NAME: 30.0}
    assert "leaves 40 ms" in found.left_out[SHALLOW]

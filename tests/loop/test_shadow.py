"""A replay that nobody sees: it blocks what is slow, fails or finds nothing, and promotes none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from predator.domain.canonical import canonical_json
from predator.domain.verdicts import Screening
from predator.loop import deciders
from predator.loop.experiment.shadow import Replayed, Shadowed, ShadowLimits
from predator.loop.experiment.shadow_replay import recorded_queries, replay
from predator.ports.feedback import Impression
from predator.search.engine import Engine, Ranking
from tests.loop.impressions import impression
from tests.loop.screens import replayed
from tests.search.fakes import engine
from tests.search.serving.releases import INDEX

LIMITS = ShadowLimits(latency_delta_rel_max=0.15, latency_floor_ms=10.0, alpha=0.05)


def judged(seen: Replayed, limits: ShadowLimits = LIMITS) -> Shadowed:
    inputs = json.loads(canonical_json(deciders.shadow_inputs(seen, limits)))
    return deciders.to_shadow(deciders.DECIDERS["shadow"](inputs))


def test_a_candidate_that_answers_as_well_may_go_on() -> None:
    found = judged(replayed())
    assert found.verdict is Screening.GO
    assert found.overlap == pytest.approx(0.8) and found.rbo == pytest.approx(0.9)
    assert "users say" in found.reason


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (replayed(failed=5), "failed 5 of 100"),
        (replayed(lost=8), "finds nothing for 8"),
        (replayed(slower=1.2), "p95"),
        (replayed(20, failed=20), "failed 20 of 20"),
    ],
    ids=["fails", "finds nothing", "slow", "fails every time"],
)
def test_what_is_worse_without_anybodys_clicks_is_blocked(seen: Replayed, why: str) -> None:
    found = judged(seen)
    assert found.verdict is Screening.NO_GO and why in found.reason


def test_chance_is_not_held_against_it() -> None:
    assert judged(replayed(failed=1)).verdict is Screening.GO
    assert judged(replayed(lost=5, won=3)).verdict is Screening.GO
    assert judged(replayed(slower=1.14)).verdict is Screening.GO


def test_below_the_floor_it_is_always_fast_enough() -> None:
    assert judged(replayed(slower=9.0, ms=1.0)).verdict is Screening.GO


def test_too_few_queries_say_nothing_but_may_still_block() -> None:
    assert judged(replayed(29)).verdict is Screening.UNDECIDED
    assert judged(replayed(0)).verdict is Screening.UNDECIDED
    assert judged(replayed(29, failed=20)).verdict is Screening.NO_GO


class Broken(Engine):
    """An engine that fails for some queries."""

    def rank(self, text: str, k: int) -> Ranking:
        if "norm" in text:
            raise RuntimeError("the model is gone")
        return super().rank(text, k)


def test_both_are_asked_the_same_and_a_failure_is_counted() -> None:
    baseline = engine(INDEX)
    broken = Broken(baseline.release, INDEX, baseline._encoder, None)
    texts = [f"matrix {word}" for word in ("vector", "norm", "sparse", "graph norm", "nosuchword")]
    ticks: Iterator[int] = iter(range(10_000))
    seen = replay(baseline, broken, texts, clock=lambda: float(next(ticks)))
    assert list(seen.candidate_failed) == [False, True, False, True, False]
    assert not any(seen.baseline_failed)
    assert list(seen.overlap) == [1.0] * 3 and list(seen.rbo) == pytest.approx([1.0] * 3)
    assert set(seen.baseline_ms) == {1000.0}, "one tick of the clock each"


class Served:
    """What users asked."""

    def __init__(self, queries: list[str]) -> None:
        self._queries = queries

    def impressions(
        self, since: float, until: float, experiment: str | None = None
    ) -> list[Impression]:
        return [
            replace(impression("u", at=float(at)), query=text)
            for at, text in enumerate(self._queries)
            if since <= at < until
        ]


def test_recorded_queries_are_the_newest_and_each_once() -> None:
    served = Served(["a", "b", "a", "c", "b"])
    assert recorded_queries(served, 5.0, 10) == ["b", "c", "a"]  # type: ignore[arg-type]
    assert recorded_queries(served, 4.0, 1) == ["c"]  # type: ignore[arg-type]
    assert recorded_queries(Served([]), 4.0, 9) == []  # type: ignore[arg-type]

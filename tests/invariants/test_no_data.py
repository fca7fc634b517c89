"""No data is not good news: every fault of every measurement at every gate, and no PASS (I8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from predator.domain.errors import PredatorError
from predator.domain.governance import EVERYWHERE, Flag
from predator.domain.readings import Failed, NoData, Reading, Stale, Value
from predator.loop import deciders
from predator.loop.contract import CONTRACT
from predator.loop.evaluate import Gates, Measured
from predator.loop.record import Record
from predator.policy.gates import Gate, load_gates
from predator.ports.feedback import Impression
from predator.simulation.simulated_stations import SimulatedStations
from tests.invariants.checks import Watchman
from tests.invariants.light_ring import BETTER, LightStations, LightWorld

WorldWith = Callable[..., LightWorld]

NOT_A_NUMBER: Mapping[str, Any] = {
    "down": None,
    "NaN": math.nan,
    "infinite": math.inf,
    "minus infinite": -math.inf,
    "negative": -1.0,
    "text": "fast",
    "yes": True,
    "list": [],
}
"""What a source may give in the place of one number."""

GATES = Gates(0.03, -0.02, 0.15, 100.0, 0.5, 0.05, 0.8)
GOOD = np.full(200, 0.5) + np.linspace(0, 0.1, 200)
BETTER_NDCG = GOOD * 1.2 + np.linspace(0.01, 0, 200)
N = len(GOOD)


def passes(work: Callable[[], Any], verdict: Callable[[Any], object]) -> bool:
    """Whether a decider called it a PASS; to refuse the input is none."""
    try:
        return verdict(work()) in ("PASS", True, "KEEP")
    except (PredatorError, ValueError, TypeError, OverflowError):
        return False


class TestEvaluation:
    def judged(self, **given: Any) -> bool:
        measured = Measured(
            given.get("baseline_ms", 10.0), given.get("candidate_ms", 10.0), given.get("cost", 0.01)
        )
        return passes(
            lambda: deciders.DECIDERS["evaluate"](
                deciders.evaluate_inputs(
                    given.get("candidate", BETTER_NDCG), given.get("baseline", GOOD),
                    given.get("categories", ["one"] * N), measured, GATES,
                )
            ),
            lambda found: found["verdict"],
        )  # fmt: skip

    def test_measured_it_passes(self) -> None:
        assert self.judged()

    @pytest.mark.parametrize("fault", NOT_A_NUMBER)
    @pytest.mark.parametrize("measure", ["baseline_ms", "candidate_ms", "cost"])
    def test_a_guardrail_without_a_number(self, measure: str, fault: str) -> None:
        assert not self.judged(**{measure: NOT_A_NUMBER[fault]})

    @pytest.mark.parametrize("side", ["candidate", "baseline"])
    @pytest.mark.parametrize("share", ["one", "all"])
    @pytest.mark.parametrize("fault", [math.nan, math.inf, -math.inf])
    def test_scores_that_are_none(self, side: str, share: str, fault: float) -> None:
        values = (BETTER_NDCG if side == "candidate" else GOOD).copy()
        values[: 1 if share == "one" else N] = fault
        assert not self.judged(**{side: values})

    @pytest.mark.parametrize("side", ["candidate", "baseline"])
    @pytest.mark.parametrize(
        "values",
        [np.array([]), np.array([0.9]), np.full(N - 1, 0.9), np.zeros(N), np.array(["x"] * N)],
        ids=["empty", "one", "too few", "zeros", "text"],
    )
    def test_scores_that_do_not_pair(self, side: str, values: Any) -> None:
        assert not self.judged(**{side: values})

    def test_the_same_scores_twice(self) -> None:
        assert not self.judged(candidate=GOOD)

    def test_a_source_that_is_huge(self) -> None:
        assert not self.judged(candidate_ms=1e308)
        assert not self.judged(cost=1e308)
        assert not self.judged(baseline_ms=1e308)
        assert not self.judged(candidate=np.full(N, 1e308))
        assert not self.judged(candidate=GOOD + 1)


GATE_BLOCK = {
    "ndcg_at_10": {"min_delta": 0.03, "min": 0.5},
    "latency_p95": {"max_delta": 0.15, "max": 800},
    "cost_per_1k": {"max_delta": 0.15, "max": 0.5},
    "user_satisfaction": {"min_delta": -0.05, "min": 4.0},
}
LEVELS = {"ndcg_at_10": (0.6, 0.7), "latency_p95": (100.0, 100.0), "cost_per_1k": (0.1, 0.1),
          "user_satisfaction": (4.2, 4.3)}  # fmt: skip


class TestQualityGates:
    def held(self, gate: Gate, baseline: Any, candidate: Any) -> bool:
        return passes(
            lambda: deciders.DECIDERS["gate"](deciders.gate_inputs(gate, baseline, candidate)),
            lambda found: found["held"],
        )

    @pytest.mark.parametrize("name", GATE_BLOCK)
    def test_measured_it_is_held(self, name: str) -> None:
        assert self.held(load_gates(GATE_BLOCK)[name], *LEVELS[name])

    @pytest.mark.parametrize("fault", NOT_A_NUMBER)
    @pytest.mark.parametrize("side", ["baseline", "candidate"])
    @pytest.mark.parametrize("name", GATE_BLOCK)
    def test_a_level_that_is_none(self, name: str, side: str, fault: str) -> None:
        value = NOT_A_NUMBER[fault]
        baseline, candidate = LEVELS[name]
        given = (value, candidate) if side == "baseline" else (baseline, value)
        assert not self.held(load_gates(GATE_BLOCK)[name], *given)

    @pytest.mark.parametrize(
        ("name", "side"),
        [("ndcg_at_10", "baseline"), ("user_satisfaction", "baseline"),
         ("latency_p95", "candidate"), ("cost_per_1k", "candidate")],
    )  # fmt: skip
    def test_a_level_that_is_huge(self, name: str, side: str) -> None:
        baseline, candidate = LEVELS[name]
        given = (1e308, candidate) if side == "baseline" else (baseline, 1e308)
        assert not self.held(load_gates(GATE_BLOCK)[name], *given)


class TestMonitor:
    @pytest.mark.parametrize("row", CONTRACT, ids=lambda row: row.signal)
    @pytest.mark.parametrize(
        "reading",
        [NoData("empty"), Stale(301.0), Failed("connection refused"), Failed("the answer is text"),
         Failed("nan"), Failed("timed out after 30 s"), Failed("two series"),
         Value(0.9, 0, 0.9, 0.9, 0.0)],
        ids=["empty", "stale", "down", "text", "NaN", "slow", "two series", "of nothing"],
    )  # fmt: skip
    def test_without_data_it_says_that_it_is_blind(self, row: Any, reading: Reading) -> None:
        """Neither a signal nor an all-clear."""
        baseline = Value(0.8, 100, 0.79, 0.81, 0.0)
        given = deciders.monitor_inputs(row, baseline, [reading] * 3, 2)
        found = deciders.to_monitor(deciders.DECIDERS["monitor"](given))
        assert found.signal is None and found.blind


def click(**changes: Any) -> Callable[[Impression], Impression]:
    return lambda one: replace(one, **changes)


Change = Callable[[Sequence[Impression]], Sequence[Impression]]


def each(change: Callable[[Impression], Impression]) -> Change:
    return lambda found: [change(one) for one in found]


def down(_found: Sequence[Impression]) -> Sequence[Impression]:
    raise PredatorError("the source of searches is down")


SOURCES: Mapping[str, tuple[str, Change]] = {
    "down": ("all", down),
    "empty": ("all", lambda _: []),
    "a single one": ("all", lambda found: found[:1]),
    "no clicks": ("clicks", each(click(clicks=()))),
    "clicks at 0": ("clicks", each(click(clicks=(0,)))),
    "clicks below 0": ("clicks", each(click(clicks=(-3,)))),
    "clicks as text": ("clicks", each(click(clicks=("first",)))),
    "clicks nowhere": ("clicks", each(click(clicks=(math.nan,)))),
    "one user": ("users", each(click(user="u"))),
    "latency NaN": ("latency", each(click(latency_ms=math.nan))),
    "latency infinite": ("latency", each(click(latency_ms=math.inf))),
    "latency as text": ("latency", each(click(latency_ms="fast"))),
    "latency missing": ("latency", each(click(latency_ms=None))),
    "no ratings": ("ratings", each(click(rating=None))),
    "ratings as text": ("ratings", each(click(rating="good"))),
    "ratings NaN": ("ratings", each(click(rating=math.nan))),
}
"""What the source of searches may give, and what of it is broken. Stale searches lie outside the
span that is asked for, so that they are the same as none."""

PARTS: Mapping[str, frozenset[str]] = {
    "plan": frozenset({"all", "clicks", "users"}),
    "baseline arm": frozenset({"all", "clicks", "users", "latency", "ratings"}),
    "candidate arm": frozenset({"all", "clicks", "users", "latency", "ratings"}),
    "watch baseline": frozenset({"all", "clicks", "users", "latency"}),
    "live": frozenset({"all", "clicks", "users", "latency"}),
    "held": frozenset({"all", "clicks", "users", "latency"}),
}
"""Whose searches an experiment or a watch is judged by, and what of them."""


class FaultyStations(LightStations):
    """One part of the traffic comes from a source with a fault."""

    def __init__(self, world: LightWorld, part: str, change: Change) -> None:
        super().__init__(world, BETTER)
        self._part, self._change = part, change

    def _served(
        self, record: Record, what: str, count: int, effects: dict[str, float], release: str
    ) -> Sequence[Impression]:
        found = super()._served(record, what, count, effects, release)
        named = {
            "plan": "plan", "baseline": "watch baseline", "candidate": "candidate arm",
            "live": "live", "held": "held",
        }[what]  # fmt: skip
        if what == "baseline" and "baseline" in effects:
            named = "baseline arm"
        return self._change(found) if named == self._part else found


def run_with(world: LightWorld, stations: SimulatedStations) -> str:
    """One cycle on these stations; its id."""
    world.stations = lambda trigger: stations  # type: ignore[method-assign]
    cycle = world.ask()
    world.run()
    Watchman(world)._audits()
    return cycle


def kept(world: LightWorld) -> list[str]:
    return [one.version for one in world.releases.list() if one.stable_at is not None]


class TestLiveTraffic:
    """The whole flow, with one source of searches broken: nothing is kept by it."""

    def test_measured_it_is_kept(self, world: LightWorld) -> None:
        run_with(world, FaultyStations(world, "plan", lambda found: found))
        assert kept(world) == ["v2.0", "v1.0"]

    @pytest.mark.parametrize("fault", SOURCES)
    @pytest.mark.parametrize("part", PARTS)
    def test_nothing_is_kept(self, world: LightWorld, part: str, fault: str) -> None:
        about, change = SOURCES[fault]
        cycle = run_with(world, FaultyStations(world, part, change))
        if about not in PARTS[part]:
            assert kept(world) == ["v2.0", "v1.0"], "it is not judged by this"
            return
        assert kept(world) == ["v1.0"]
        assert world.desired.read().experiment is None
        assert world.outcome(cycle) in ("error", "success", "rolled_back")
        if part in ("live", "held") and world.outcome(cycle) == "success":
            assert world.desired.read().holdback is not None, "it holds"
            assert any("could not be judged" in one.title for one in world.notifier.sent())

    def test_the_matrix_is_whole(self) -> None:
        cells = [
            (part, fault)
            for part, judged_by in PARTS.items()
            for fault, (about, _) in SOURCES.items()
            if about in judged_by
        ]
        assert len(cells) == 80


class TestStores:
    """What the loop asks before it acts cannot be reached: then it does not act."""

    STORES: Mapping[str, tuple[str, str]] = {
        "flags": ("flags", "rows"),
        "cycles a day": ("limits", "begin_cycle"),
        "budget": ("limits", "reserve"),
        "places": ("slots", "claim"),
        "approvals": ("approvals", "request"),
        "register of cycles": ("cycles", "get"),
    }

    @pytest.mark.parametrize("slow", [False, True], ids=["down", "30 s slow, then down"])
    @pytest.mark.parametrize("store", STORES)
    def test_nothing_goes_live(self, world: LightWorld, store: str, slow: bool) -> None:
        name, method = self.STORES[store]
        world.set_flag("manual_approval_required", store == "approvals")

        def fail(*_: object, **__: object) -> Any:
            if slow:
                world.clock.advance(30.0)
            raise PredatorError(f"{store} cannot be reached")

        setattr(getattr(world, name), method, fail)
        world.ask()
        world.run()
        assert "promote" not in world.steps
        assert world.serving == world.founding.digest
        assert world.desired.read().experiment is None
        assert kept(world) == ["v1.0"]

    def test_overrides_that_cannot_be_read_lift_nothing(
        self, world: LightWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> Any:
            raise PredatorError("overrides cannot be reached")

        world.kill()
        monkeypatch.setattr(world.overrides, "list", fail)
        cycle = world.ask()
        world.run()
        assert world.outcome(cycle) == "denied"

    @pytest.mark.parametrize("value", ["yes", 1, None, "", []], ids=repr)
    @pytest.mark.parametrize("flag", ["kill_switch", "ab_testing", "self_improvement_enabled"])
    def test_a_flag_that_is_no_boolean_is_on_its_careful_side(
        self, world: LightWorld, flag: str, value: Any
    ) -> None:
        world.flags._rows[flag, EVERYWHERE] = Flag(flag, value, EVERYWHERE)
        world.ask()
        world.run()
        assert world.steps == []


def test_a_watch_without_data_holds_twice_as_long_and_pages(world: LightWorld) -> None:
    world.at = lambda boundary: (
        setattr(world, "traffic", 0.0) if boundary.endswith("recorded:si_2025_12_07_001/deploy")
        else None
    )  # fmt: skip
    cycle = world.ask()
    world.run()
    (flow,) = world.journal.flows.values()
    looks = [step for step in flow["steps"] if "/look:" in step["name"]]
    assert [one["outcome"]["ok"]["decision"] for one in looks] == ["HOLD"] * 6
    assert kept(world) == ["v1.0"]
    assert world.desired.read().holdback is not None
    (notice,) = [one for one in world.notifier.sent() if one.cycle_id == cycle]
    assert "could not be judged" in notice.title and notice.severity == "warning"


def test_an_experiment_without_data_is_given_up_after_its_longest(world: LightWorld) -> None:
    world.at = lambda boundary: (
        setattr(world, "traffic", 0.0) if boundary.endswith("/start_experiment:applied") else None
    )
    began = world.clock.now()
    world.ask()
    world.run()
    assert world.steps == ["start-experiment", "end-experiment"]
    longest = world.settings.experiment_max_s
    assert longest <= world.clock.now() - began <= longest + 5

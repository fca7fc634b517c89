"""A screen on live traffic: drafted lists for a while, given back whatever happens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from predator.domain.release import Release, RetrievalParameters
from predator.loop.experiment.screening import run_screen, screened_out, turned_away
from predator.loop.experiment.view import read_experiment
from predator.loop.live import run_experiment
from predator.loop.record import CycleCancelled, Record
from predator.loop.replica import keep_release
from predator.loop.rollback import end_experiment
from predator.loop.stations import Stations
from predator.search.serving.agent import load_release
from tests.loop.small_ring import CYCLE, World

GAIN = {"gain": {"delta_rel": 0.5, "lower_bound": 0.3, "ci_low": 0.3}}
WorldWith = Callable[..., World]


class Screening:
    """A world whose candidate may be screened."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stations: Stations = world.stations(world.live_through())
        self.record: Record = world.record({"type": "test"})
        self.record.begin()
        self.before = world.desired.read().release
        self.evaluated = {**GAIN, "before": asdict(self.before)}

    def release(self, **retrieval: Any) -> Release:
        live = load_release(self.world.objects.get(self.before.digest))
        other = replace(live, retrieval=RetrievalParameters(**retrieval))
        keep_release(self.world.objects, other)
        return other

    def screen(self, candidate: Release) -> Any:
        return run_screen(self.record, self.stations, candidate.digest, self.evaluated)


@pytest.fixture
def screening(world_with: WorldWith) -> Screening:
    return Screening(world_with(interleaving_share=0.5))


def test_nobody_is_screened_by_default(world_with: WorldWith) -> None:
    plain = Screening(world_with())
    assert plain.screen(plain.release(fusion="weighted", title_boost=1.0)) is None
    assert plain.world.desired.read().experiments == ()


@pytest.mark.parametrize(
    ("wanted", "retrieval"),
    [
        ("GO", {"fusion": "weighted", "title_boost": 1.0}),
        ("NO_GO", {"fusion": "dense", "depth": 1}),
    ],
    ids=["better", "worse"],
)
def test_a_better_candidate_goes_on_and_a_worse_one_does_not(
    screening: Screening, wanted: str, retrieval: dict[str, Any]
) -> None:
    found = screening.screen(screening.release(**retrieval))
    assert found["verdict"] == wanted, found["reason"]
    assert turned_away(found) is (wanted == "NO_GO")
    world = screening.world
    assert world.desired.read().experiments == ()
    assert world.commits == ["start-screen", "end-screen"]
    drafted = [s for s in world.served if s.experiment == f"screen-{CYCLE}"]
    assert len(drafted) >= found["searches"]
    users = {s.user for s in world.served if s.at >= drafted[0].at}
    assert 0.4 < len({s.user for s in drafted}) / len(users) < 0.6


def test_after_a_go_the_experiment_decides_with_the_same_plan(screening: Screening) -> None:
    candidate = screening.release(fusion="weighted", title_boost=1.0)
    assert screening.screen(candidate)["verdict"] == "GO"
    found = run_experiment(
        screening.record, screening.stations, screening.before, candidate.digest,
        screening.evaluated,
    )  # fmt: skip
    assert found["verdict"] == "PASS"
    assert screening.world.commits == ["start-screen", "end-screen", "start-experiment"]


def test_who_is_turned_away_has_a_result_that_says_why(screening: Screening) -> None:
    candidate = screening.release(fusion="dense", depth=1)
    found = screening.screen(candidate)
    out = screened_out(screening.record, candidate.digest, found["reason"])
    assert (out["verdict"], out["passed_gate"], out["plan"]) == ("FAIL", False, None)
    shown = read_experiment(screening.world.settings.artifacts, CYCLE)
    assert shown.verdict == "FAIL" and "users prefer the live release" in shown.reason
    assert shown.screen["verdict"] == "NO_GO"


def test_a_stop_during_a_screen_is_noticed_and_its_users_can_be_given_back(
    screening: Screening,
) -> None:
    def stop(event: str) -> None:
        if event == "work searches in the screen":
            screening.world.engage()

    screening.world.at = stop
    with pytest.raises(CycleCancelled, match="the screen was stopped"):
        screening.screen(screening.release(fusion="weighted", title_boost=1.0))
    assert screening.world.desired.read().running(f"screen-{CYCLE}") is not None
    end_experiment(screening.record)
    assert screening.world.desired.read().experiments == ()


@pytest.mark.nightly
def test_a_stop_during_a_screen_gives_the_users_back(world_with: WorldWith) -> None:
    world = world_with(interleaving_share=0.5)
    situation = world.live_through()

    def stop(event: str) -> None:
        if event == "work searches in the screen":
            assert world.desired.read().running(f"screen-{CYCLE}") is not None
            world.engage()

    world.at = stop
    with pytest.raises(CycleCancelled):
        world.turn(situation)
    assert world.desired.read().experiments == ()


def test_traffic_that_dries_up_ends_the_screen_undecided(screening: Screening) -> None:
    def dry_up(event: str) -> None:
        if event == "work searches in the screen":
            screening.world.rate = 0

    screening.world.at = dry_up
    found = screening.screen(screening.release(fusion="weighted", title_boost=1.0))
    assert found["verdict"] == "UNDECIDED" and "nothing to prefer by" in found["reason"]
    assert screening.world.desired.read().experiments == ()

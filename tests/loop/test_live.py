"""On live traffic: the declared sample is what is judged, and waiting has an end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest

from predator.domain.errors import PredatorError
from predator.domain.release import Release, RetrievalParameters
from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop.experiment.timing import look_times, looks_due
from predator.loop.live import end_watch, run_experiment, run_watch
from predator.loop.real_stations import SETTLE_S, RealStations
from predator.loop.record import CycleCancelled, Record
from predator.loop.replay import replay
from predator.loop.replica import keep_release
from predator.loop.stations import Situation
from predator.ports.deployer import Deployer, Deployment, Look, Preparation
from predator.search.desired import Holdback, LiveRelease
from predator.search.serving.agent import load_release
from tests.loop.small_ring import CYCLE, START, World, by_luck, no_clicks_on

GAIN = {"gain": {"delta_rel": 0.5, "lower_bound": 0.3, "ci_low": 0.3}}


@pytest.fixture
def situation(world: World) -> Situation:
    return world.live_through()


@pytest.fixture
def lived(world: World, situation: Situation) -> World:
    return world


@pytest.fixture
def stations(world: World, situation: Situation) -> RealStations:
    return world.stations(situation)


@pytest.fixture
def record(lived: World) -> Record:
    record = lived.record({"type": "test"})
    record.begin()
    return record


@pytest.fixture
def experiment(
    lived: World, record: Record, stations: RealStations, candidate: Release
) -> Callable[[], Any]:
    before = lived.desired.read().release
    evaluated = {**GAIN, "before": asdict(before)}
    return lambda: run_experiment(record, stations, before, candidate.digest, evaluated)


@pytest.fixture
def candidate(lived: World) -> Release:
    live = load_release(lived.objects.get(lived.desired.read().release.digest))
    retrieval = RetrievalParameters(fusion="weighted", title_boost=1.0)
    better = replace(live, retrieval=retrieval)
    keep_release(lived.objects, better)
    return better


def inside(world: World) -> list[str]:
    return [one.variant for one in world.served if one.experiment == f"exp-{CYCLE}"]


def test_a_pass_leaves_the_experiment_to_the_promotion(
    lived: World, experiment: Callable[[], Any], candidate: Release
) -> None:
    found = experiment()
    plan, result = found["plan"], found["result"]
    assert result["verdict"] == Verdict.PASS
    assert result["ended"] and result["difference"]["evidence"] >= plan["evidence"] == 20
    assert [look["number"] for look in result["looks"]] == list(range(1, len(result["looks"]) + 1))
    running = lived.desired.read().experiment
    assert running is not None
    assert (running.candidate, running.share) == (candidate.digest, 0.2)
    assert 0.15 < inside(lived).count("candidate") / len(inside(lived)) < 0.25
    assert lived.commits == ["start-experiment"]


@pytest.mark.parametrize("last", [True, False], ids=["that ended it", "before"])
def test_a_look_that_is_taken_again_decides_the_same(
    lived: World, record: Record, stations: RealStations, candidate: Release,
    experiment: Callable[[], Any], last: bool,
) -> None:  # fmt: skip
    """A crash lost the step of a look that was on the record; meanwhile all has changed."""
    before = lived.desired.read().release.digest
    found = experiment()
    looks = found["result"]["looks"]
    number = looks[-1]["number"] if last else 1
    lived.served.clear()
    again = stations.look_experiment(
        record, f"exp-{CYCLE}", START, found["plan"],
        {"baseline": before, "candidate": candidate.digest},
        {"number": number, "elapsed_s": 10.0, "last": not last, "looks": looks[: number - 1],
         "left_s": 1.0},
    )  # fmt: skip
    assert (again == found["result"]) is last
    assert again["ended"] is last
    assert again["looks"] == looks[:number]


def test_the_plan_is_on_the_record_before_the_first_user_is_in(
    lived: World, record: Record, experiment: Callable[[], Any]
) -> None:
    plan = experiment()["plan"]
    [action] = [a for a in record.actions if a["type"] == "start_experiment"]
    assert action["plan"] == plan
    [commit] = [c for c in lived.gitops.log() if c.trailers.get("Step") == "start-experiment"]
    assert action["gitops_revision"] == commit.revision


def test_the_newest_searches_wait_for_their_clicks(
    lived: World, experiment: Callable[[], Any]
) -> None:
    asked: list[tuple[float, float]] = []
    impressions = lived.impressions

    def noted(since: float, until: float, experiment: str | None = None):  # type: ignore[no-untyped-def]
        if experiment:
            asked.append((until, lived.time))
        return impressions(since, until, experiment)

    lived.impressions = noted  # type: ignore[method-assign]
    experiment()
    assert asked and all(until <= now - SETTLE_S for until, now in asked)


def test_traffic_that_dries_up_ends_the_waiting(
    lived: World, experiment: Callable[[], Any]
) -> None:
    lived.clicks = by_luck

    def dry_up(event: str) -> None:
        if event == "work searches in the experiment":
            lived.rate = 0

    lived.at = dry_up
    started = lived.time
    result = experiment()["result"]
    assert result["verdict"] == Verdict.ERROR
    assert "an arm had no users" in result["reason"]
    assert lived.time - started <= 1.5 * lived.settings.experiment_max_s + 2
    assert lived.desired.read().experiment is None


def test_an_experiment_is_never_shorter_than_the_contour_says(
    world_with: Callable[..., World],
) -> None:
    world = world_with(experiment_min_s=50, poll_s=1)
    situation = world.live_through()
    outcome = world.turn(situation)
    assert outcome.experiment is not None
    entry = world.cycles.get(CYCLE)
    assert entry is not None
    lasted = entry.moments["experiment_ended"] - entry.moments["experiment_started"]
    assert 50 <= lasted < 53
    assert outcome.times["experiment_s"] == pytest.approx(lasted, abs=0.01)


def test_without_a_gain_it_is_looked_at_a_few_dozen_times_and_no_longer_than_its_longest(
    lived: World, record: Record, experiment: Callable[[], Any]
) -> None:
    """The gain is registered at what the traffic can just show, so that nothing is clear early."""
    lived.clicks = by_luck
    started = lived.time
    found = experiment()["result"]
    assert found["verdict"] in (Verdict.INCONCLUSIVE, Verdict.FAIL) and found["ended"]
    assert lived.time - started <= lived.settings.experiment_max_s + 2
    looks = [r for r in record.journal.read() if r.get("decider") == "look_experiment"]
    assert len(looks) == len(found["looks"]) - 1 < 30
    assert replay(record.folder).ok


def test_looks_come_early_for_a_loss_and_then_evenly_to_the_end(lived: World) -> None:
    options = lived.settings.model_copy(
        update={"experiment_min_s": 700.0, "experiment_max_s": 1400.0}
    )
    times = look_times(options)
    assert times[:5] == [175.0, 350.0, 525.0, 700.0, 735.0] and times[-1] == 1400.0
    assert len(times) == 24
    assert [looks_due(options, t) for t in (0.0, 174.0, 175.0, 700.0, 1400.0)] == [0, 0, 1, 4, 24]
    assert looks_due(options, 1470.0) == 25, "a machine that slept looks on at the same pace"
    at_once = options.model_copy(update={"experiment_max_s": 700.0})
    assert looks_due(at_once, 699.0) == 3 and looks_due(at_once, 700.0) == 24


def test_with_a_broken_history_nobody_gets_a_candidate(
    lived: World, experiment: Callable[[], Any]
) -> None:
    lived.time += 100
    found = experiment()
    assert found["plan"] is None and found["result"]["verdict"] == Verdict.ERROR
    assert "too few to plan" in found["result"]["reason"]
    assert lived.commits == []


class TestWatch:
    def begin(self, world: World, candidate: Release) -> tuple[LiveRelease, LiveRelease]:
        old = world.desired.read().release
        new = LiveRelease("v2.0", candidate.digest, CYCLE)
        held = Holdback(f"watch-{CYCLE}", old.digest, 0.05)
        world.desired.set_release(new, held, "Promote", {"Cycle": CYCLE, "Step": "promote"})
        return old, new

    def test_a_good_release_is_kept_when_all_looks_are_done(
        self, lived: World, record: Record, stations: RealStations, candidate: Release
    ) -> None:
        old = lived.desired.read().release
        baseline = stations.watch_baseline(record, asdict(old))
        old, new = self.begin(lived, candidate)
        started = lived.time
        looks, decision = run_watch(record, stations, old, baseline)
        assert decision == WatchDecision.KEEP
        assert lived.time - started == lived.settings.watch_looks * lived.settings.watch_look_s
        assert [look["number"] for look in looks] == [1, 2, 3, 4]
        assert lived.desired.read().holdback is not None
        end_watch(record, new)
        assert lived.desired.read().holdback is None

    def test_a_bad_release_is_not_looked_at_longer_than_needed(
        self, lived: World, record: Record, stations: RealStations, candidate: Release
    ) -> None:
        baseline = stations.watch_baseline(record, asdict(lived.desired.read().release))
        old, _ = self.begin(lived, candidate)
        lived.clicks = no_clicks_on("live")
        looks, decision = run_watch(record, stations, old, baseline)
        assert decision == WatchDecision.ROLL_BACK
        assert len(looks) == 1

    def test_the_baseline_is_of_the_old_release_alone(
        self, lived: World, record: Record, stations: RealStations
    ) -> None:
        old = lived.desired.read().release
        expected = stations.watch_baseline(record, asdict(old))["before"]
        stranger = replace(lived.served[-1], release="f" * 64, clicks=(), latency_ms=9e9)
        lived.served.extend([replace(stranger, at=lived.time - 5)] * 500)
        other = lived.record({"type": "test"}, "si_2025_12_07_009")
        other.begin()
        assert stations.watch_baseline(other, asdict(old))["before"] == expected

    def test_without_a_baseline_there_is_nothing_to_watch_by(
        self, lived: World, record: Record, stations: RealStations
    ) -> None:
        lived.time += 100
        with pytest.raises(PredatorError, match=r"replaced v1\.0 could not be watched"):
            stations.watch_baseline(record, asdict(lived.desired.read().release))


class Preparing:
    """A deployer behind which a candidate's vectors are still being made."""

    def __init__(self, deployer: Deployer, then: Callable[[], None]) -> None:
        self._deployer, self._then = deployer, then
        self.status, self.flip = deployer.status, deployer.flip

    def wait(self, revision: str, timeout_s: float, look: Look = lambda _found: None) -> Deployment:
        for done in (3, 7):
            look(replace(self._deployer.status(), preparing=Preparation(done, 10)))
            self._then()
        return self._deployer.wait(revision, timeout_s, look)


def test_an_experiment_begins_when_its_candidates_vectors_are_there(
    lived: World, record: Record, experiment: Callable[[], Any]
) -> None:
    def later() -> None:
        lived.time += 500

    object.__setattr__(record.ring, "deployer", Preparing(record.ring.deployer, later))
    shown: list[str] = []
    lived.at = shown.append
    started = lived.time
    experiment()
    assert "work documents embedded anew" in shown
    entry = lived.cycles.get(CYCLE)
    assert entry is not None
    assert entry.moments["experiment_started"] >= started + 1000


def test_a_stop_ends_the_wait_for_a_candidates_vectors(
    lived: World, record: Record, experiment: Callable[[], Any]
) -> None:
    def stop() -> None:
        lived.cycles.cancel(CYCLE, actor="ann", reason="wrong data", at=lived.time)

    object.__setattr__(record.ring, "deployer", Preparing(record.ring.deployer, stop))
    with pytest.raises(CycleCancelled, match="stopped before its first search"):
        experiment()

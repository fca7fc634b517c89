"""A release that passed on the edge comes to production: once, allowed, watched, on record."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from predator.adapters.runtime.virtual import Crash
from predator.domain.errors import InputError
from predator.journal.audit import verify_journal
from predator.loop import rollback
from predator.loop.gold import versions as gold
from predator.loop.record import LAYER, Record
from predator.loop.release.contour_follow import Follower
from predator.loop.replay import replay
from predator.loop.ring import Ring
from predator.ports.runtime import Json
from predator.simulation.simulated_stations import Effects, SimulatedStations
from tests.invariants.light_ring import fast_folder
from tests.loop.promotion_world import COMPUTE, EDGE, QUIET, WORSE, TwoContours

MOMENTS = (
    "recorded:promotable", "after:permit", "recorded:permit", "after:deploy", "recorded:deploy",
    "recorded:deploy:applied", "recorded:look:1", "after:end_watch", "after:close",
)  # fmt: skip
EFFECTS = Effects(offline=0.3, online=0.9, live=0.5)
TARGET = f"{COMPUTE}/{LAYER}"


@pytest.fixture
def folder() -> Iterator[Path]:
    with fast_folder() as made:
        yield made


@pytest.fixture
def world(folder: Path) -> TwoContours:
    return TwoContours(folder)


def follower(world: TwoContours) -> Follower:
    return Follower(world.target, world.git, world.releases, world.flows)


def test_it_comes_with_the_evidence_of_the_edge_and_is_watched(world: TwoContours) -> None:
    edge = world.passes("v2.0")
    found = world.promote("v2.0")
    assert (found["live"], found["rolled_back"]) == (True, False)
    (commit,) = [c for c in world.commits() if c["Cycle"] == found["cycle_id"]]
    proof = {change.revision: change.trailers for change in world.edge.changes()}[edge]
    assert commit["Contour"] == COMPUTE
    assert (commit["From-Contour"], commit["From-Revision"]) == (EDGE, edge)
    for name in ("Release", "Evaluation", "Experiment"):
        assert commit[name] == proof[name]
    assert commit["Policy"] == "compute-loop-turns-the-ring"
    wanted = world.compute.read()
    assert (wanted.release.version, wanted.release.digest) == ("v2.0", world.digest("v2.0"))
    assert wanted.holdback is None, "its watch kept it"
    assert world.told() == ["v2.0 came from edge-oracle"]
    assert world.edge.read().release.version == "v2.0", "the edge is not touched"
    assert list(world.slots.holders(TARGET)) == []


def test_everything_is_on_record_and_derived_again_the_same(world: TwoContours) -> None:
    world.passes("v2.0")
    found = world.promote("v2.0")
    cycle = world.folder / "artifacts" / found["cycle_id"]
    assert verify_journal(cycle / "audit.jsonl").ok
    again = replay(cycle)
    assert again.ok
    deciders = [one.decider for one in again.decisions]
    assert deciders.count("promotion_between") == 2, "when its turn came, and before the commit"
    assert {"watch.json", "helm_values_patch.yaml"} <= {path.name for path in cycle.iterdir()}
    entry = world.cycles.get(found["cycle_id"])
    assert entry is not None
    assert entry.trigger["type"] == "contour_promotion"
    assert (entry.trigger["actor"], entry.outcome) == ("ann", "success")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda world: world.goes_back(world.passes("v2.0")), "edge-oracle rolled v2.0 back"),
        (lambda world: world.passes("v2.0", stable=False), "has not kept v2.0 yet"),
        (lambda world: world.passes("v2.0", Experiment=""), "no experiment on edge-oracle"),
        (lambda world: world.passes("v2.0", "dev-mac"), "no experiment on edge-oracle"),
        (lambda world: None, "there is no release v2.0"),
    ],
)
def test_without_evidence_that_stands_nothing_changes(
    world: TwoContours, spoil: Callable[[TwoContours], object], reason: str
) -> None:
    spoil(world)
    before = world.compute.changes()
    assert reason in world.promote("v2.0")
    assert world.compute.changes() == before
    (entry,) = world.cycles.list()
    assert entry.outcome == "denied"


def test_no_contour_is_skipped(world: TwoContours) -> None:
    world.passes("v2.0", "dev-mac")
    assert "one step at a time" in world.promote("v2.0", "dev-mac")
    assert world.live == "v1.0"


def test_what_was_rehearsed_is_no_evidence_on_the_edge(folder: Path) -> None:
    world = TwoContours(folder, EDGE)
    world.passes("v2.0", "dev-mac")
    assert "edge-not-simulated" in world.promote("v2.0", "dev-mac")
    assert world.live == "v1.0"
    assert follower(world).look() is None


def test_the_kill_switch_holds_it_back(world: TwoContours) -> None:
    world.passes("v2.0")
    world.set_flag("kill_switch", True)
    assert "kill-switch" in world.promote("v2.0")
    assert world.live == "v1.0"


class TestWhatIsMadeThere:
    """A cycle of production's own comes to the same door."""

    def test_it_does_not_go_live_before_the_edge_had_it(self, world: TwoContours) -> None:
        world.effects = EFFECTS
        assert "edge-first" in world.turn()
        assert world.live == "v1.0"

    def test_what_the_edge_had_and_went_back_from_does_not_either(
        self, world: TwoContours, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.effects = EFFECTS
        edge = world.passes("v2.0")

        def candidate(_stations: object, record: Record, _opened: Json, _dataset: Json) -> Json:
            found = train(world.stations(), record, _opened, _dataset)
            return {**found, "release": world.digest("v2.0")}

        train = SimulatedStations.train
        monkeypatch.setattr(SimulatedStations, "train", candidate)
        back = world.goes_back(edge)
        assert "edge-first" in world.turn()
        assert world.live == "v1.0"
        world.goes_back(back)
        assert world.turn() == "PASS", "the edge has it again"
        assert world.digest("v2.0") == world.compute.read().release.digest


class TestOnce:
    def test_ten_who_ask_for_it_make_one_commit(self, world: TwoContours) -> None:
        world.passes("v2.0")
        flows = [world.ask("v2.0") for _ in range(10)]
        world.flows.run_all()
        assert [world.flows.status(flow).state for flow in flows] == ["done"] * 10  # type: ignore[union-attr]
        assert len(world.commits()) == 2, "the founding, and one promotion"
        assert world.live == "v2.0"

    @pytest.mark.parametrize("moment", MOMENTS)
    def test_a_crash_loses_nothing_and_doubles_nothing(
        self, world: TwoContours, moment: str
    ) -> None:
        world.passes("v2.0")
        when, _, step = moment.partition(":")

        def crash(event: str) -> None:
            if event.startswith(f"{when}:") and event.endswith(f"/{step}"):
                world.at = lambda _: None
                raise Crash

        world.at = crash
        flow = world.ask("v2.0")
        with pytest.raises(Crash):
            world.flows.run_all()
        world.restart()
        world.flows.run_all()
        found = world.flows.status(flow)
        assert found is not None
        assert found.state == "done", found.error
        assert len(world.commits()) == 2
        assert (world.live, world.compute.read().holdback) == ("v2.0", None)

    def test_it_waits_until_the_users_are_free(self, world: TwoContours) -> None:
        world.passes("v2.0")
        assert world.slots.claim(TARGET, "si_2025_12_01_001", 1)
        freed = world.clock.now() + 30
        seen: list[str] = []

        def later(event: str) -> None:
            if world.clock.now() >= freed:
                world.slots.release(TARGET, "si_2025_12_01_001")
            elif event.startswith("after:") and event.endswith("/promotable"):
                seen.append(event)

        world.at = later
        assert world.promote("v2.0")["live"] is True
        assert seen == [], "judged only when its turn came"


class TestByItself:
    def test_what_the_edge_kept_is_asked_for_once(self, world: TwoContours) -> None:
        assert follower(world).look() is None
        world.passes("v2.0")
        world.passes("v3.0", stable=False)
        flow = follower(world).look()
        assert flow is not None
        assert follower(world).look() is None
        world.flows.run_all()
        assert world.live == "v2.0"
        assert follower(world).look() is None
        world.releases.mark("v3.0", "stable", world.clock.now())
        assert follower(world).look() is not None
        world.flows.run_all()
        assert world.live == "v3.0"

    def test_what_production_went_back_from_comes_again_only_if_a_person_asks(
        self, world: TwoContours
    ) -> None:
        world.passes("v2.0")
        world.effects = WORSE
        assert follower(world).look() is not None
        world.flows.run_all()
        assert world.live == "v1.0"
        steps = [commit.get("Step") for commit in world.commits()]
        assert steps == ["release", "promote", "rollback"]
        assert "v2.0 was rolled back" in world.told()
        assert follower(world).look() is None
        refused = world.promote("v2.0", actor="")
        assert "went back from it before" in refused
        assert world.promote("v2.0", actor="ann")["rolled_back"] is True

    def test_local_follows_nobody(self, world: TwoContours) -> None:
        world.passes("v2.0")
        assert Follower("local", world.git, world.releases, world.flows).look() is None


def test_what_the_watch_cannot_judge_waits_for_a_person_who_keeps_it(world: TwoContours) -> None:
    world.passes("v2.0")
    world.effects = QUIET
    found = world.promote("v2.0")
    assert found["live"] is True
    assert world.compute.read().holdback is not None
    assert "v2.0 could not be judged" in world.told()
    assert not rollback._is_kept(world.ring, world.compute.read().release)
    asked = {"environment": COMPUTE, "cycle_id": found["cycle_id"], "actor": "ann", "reason": "ok"}
    world.flows.enqueue("keep", "keep-1", asked)
    world.flows.run_all()
    assert world.flows.status("keep-1").state == "done"  # type: ignore[union-attr]
    assert (world.live, world.compute.read().holdback) == ("v2.0", None)
    assert rollback._is_kept(world.ring, world.compute.read().release)


class TestByApproval:
    def waits(self, world: TwoContours) -> str:
        world.set_flag("manual_approval_required", True)
        return world.ask("v2.0", actor="")

    def answer(self, world: TwoContours, approved: bool) -> Callable[[str], None]:
        def hear(_event: str) -> None:
            for one in world.approvals.list(COMPUTE, pending=True):
                world.approvals.decide(
                    one.id, approved=approved, actor="bob", reason="seen", at=world.clock.now()
                )

        return hear

    def test_a_person_lets_it_come(self, world: TwoContours) -> None:
        world.passes("v2.0")
        flow = self.waits(world)
        world.at = self.answer(world, True)
        world.flows.run_all()
        assert world.flows.status(flow).state == "done"  # type: ignore[union-attr]
        assert world.live == "v2.0"
        (asked,) = world.approvals.list(COMPUTE)
        assert asked.release == world.digest("v2.0")
        assert "promote v2.0 from edge-oracle over v1.0" in asked.subject

    def test_a_person_who_says_no_or_nothing_keeps_it_out(self, world: TwoContours) -> None:
        world.passes("v2.0")
        self.waits(world)
        world.at = self.answer(world, False)
        world.flows.run_all()
        assert world.live == "v1.0"
        world.at = lambda _: None
        flow = self.waits(world)
        world.flows.run_all()
        assert "nobody answered in time" in world.flows.status(flow).error  # type: ignore[union-attr]
        assert world.live == "v1.0"

    def test_what_the_edge_took_back_meanwhile_does_not_come(self, world: TwoContours) -> None:
        edge = world.passes("v2.0")
        flow = self.waits(world)
        approve = self.answer(world, True)

        def hear(event: str) -> None:
            if world.approvals.list(COMPUTE, pending=True):
                world.goes_back(edge)
                approve(event)

        world.at = hear
        world.flows.run_all()
        assert "edge-oracle rolled v2.0 back" in world.flows.status(flow).error  # type: ignore[union-attr]
        assert (world.live, len(world.commits())) == ("v1.0", 1)


class TestTheWayBack:
    def test_a_release_that_is_not_whole_does_not_come(self, world: TwoContours) -> None:
        world.passes("v2.0")
        world.objects._objects.pop(world.digest("v2.0"))
        assert "is not whole here" in world.promote("v2.0")
        assert world.live == "v1.0"

    def test_what_was_only_live_elsewhere_is_no_way_back(self, world: TwoContours) -> None:
        ring: Ring = world.ring
        world.passes("v2.0")
        with pytest.raises(InputError, match="never live on compute-nvidia"):
            gold.target(ring.releases, ring.objects, ring.desired, "v2.0")
        world.promote("v2.0")
        world.passes("v3.0")
        world.promote("v3.0")
        found = gold.target(ring.releases, ring.objects, ring.desired, "v2.0")
        assert found.digest == world.digest("v2.0")

    def test_what_the_watch_here_took_back_is_no_way_back_by_itself(
        self, world: TwoContours
    ) -> None:
        """It is stable on the edge, and was live here."""
        world.passes("v2.0")
        world.effects = WORSE
        assert world.promote("v2.0")["rolled_back"] is True
        world.passes("v3.0")
        world.effects = EFFECTS
        assert world.promote("v3.0")["live"] is True
        asked = {"environment": COMPUTE, "actor": "ann", "reason": "it is bad", "live": "v3.0"}
        world.flows.enqueue("rollback", "rollback-1", {**asked, "to_version": None})
        world.flows.run_all()
        found = world.flows.status("rollback-1")
        assert found is not None
        assert world.live != "v2.0"

    def test_a_watch_that_broke_off_takes_it_back_although_the_edge_kept_it(
        self, world: TwoContours
    ) -> None:
        world.passes("v2.0")

        def stop(event: str) -> None:
            if event.endswith("/look:1"):
                world.set_flag("kill_switch", True)

        world.at = stop
        assert "kill-switch" in world.promote("v2.0")
        assert (world.live, world.compute.read().holdback) == ("v1.0", None)


def test_the_repository_is_one_that_any_git_can_read(world: TwoContours, folder: Path) -> None:
    import subprocess

    git = shutil.which("git")
    assert git is not None
    world.passes("v2.0")
    world.promote("v2.0")
    told = subprocess.run(
        [git, "-C", str(folder / "gitops.git"), "log", "--format=%(trailers:key=From-Contour)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.split() == ["From-Contour:", EDGE]

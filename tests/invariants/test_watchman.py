"""The checks bite: each of them finds what it is there for."""

from __future__ import annotations

import pytest

from predator.loop import drill, go_live, live
from predator.ports.releases import KeptRelease
from predator.search.desired import LiveRelease, RunningExperiment
from tests.invariants.checks import Broken, Watchman
from tests.invariants.light_ring import CONTOUR, START, TARGET, LightWorld
from tests.invariants.walk import Event, shortest

OTHER = "si_2025_12_07_099"


@pytest.fixture
def watchman(world: LightWorld) -> Watchman:
    return Watchman(world)


def promoted(world: LightWorld) -> str:
    cycle = world.ask()
    world.run()
    return cycle


def commit(world: LightWorld, release: LiveRelease, step: str = "promote") -> str:
    """Somebody makes a release live by hand."""
    trailers = {"Cycle": release.cycle, "Step": step, "Release": release.digest}
    return world.desired.set_release(release, None, "Promote", trailers)


class TestFinds:
    def test_nothing_after_a_cycle_as_it_should_be(
        self, world: LightWorld, watchman: Watchman
    ) -> None:
        promoted(world)
        watchman.end()
        watchman.replays()

    def test_a_release_without_evidence(self, world: LightWorld, watchman: Watchman) -> None:
        cycle = promoted(world)
        watchman.look()
        live_now = world.desired.read().release
        commit(world, LiveRelease("v3.0", world.founding.digest, f"{cycle[:-3]}002"))
        with pytest.raises((Broken, FileNotFoundError)):
            watchman.look()
        assert live_now.version == "v2.0"

    @pytest.mark.parametrize("name", ["evaluation", "ab_test_results"])
    def test_evidence_that_is_no_pass(
        self, world: LightWorld, watchman: Watchman, name: str
    ) -> None:
        cycle = promoted(world)
        path = world.folder_of(cycle) / f"{name}.json"
        path.write_text(path.read_text().replace('"PASS"', '"INCONCLUSIVE"'))
        with pytest.raises(Broken, match=name):
            watchman.look()

    def test_an_unknown_commit(self, world: LightWorld, watchman: Watchman) -> None:
        commit(world, world.founding, "sneak")
        with pytest.raises(Broken, match="sneak"):
            watchman.look()

    def test_a_forward_commit_after_the_kill_switch(
        self, world: LightWorld, watchman: Watchman
    ) -> None:
        watchman.killed = True
        promoted(world)
        with pytest.raises(Broken, match="kill switch"):
            watchman.look()

    def test_a_stable_release_that_is_not_live(self, world: LightWorld, watchman: Watchman) -> None:
        cycle = promoted(world)
        watchman.look()
        trailers = {"Cycle": cycle, "Step": "promote-3", "Release": world.founding.digest}
        third = LiveRelease("v3.0", world.founding.digest, cycle)
        revision = world.desired.set_release(third, None, "Promote", trailers)
        world.releases.keep(KeptRelease("v3.0", world.founding.digest, revision, cycle, START))
        world.releases.mark("v3.0", "stable", START)
        world.desired.set_release(world.founding, None, "Back", {"Step": "rollback"})
        with pytest.raises(Broken, match=r"v3\.0"):
            watchman.stable()

    def test_an_experiment_without_a_place(self, world: LightWorld, watchman: Watchman) -> None:
        trial = RunningExperiment(f"exp-{OTHER}", "ranking", world.founding.digest, 0.2)
        world.desired.set_experiment(trial, "Start", {"Step": "start-experiment"})
        with pytest.raises(Broken, match=OTHER):
            watchman.open()

    def test_money_that_is_not_there(self, world: LightWorld, watchman: Watchman) -> None:
        most = world.rules.budget_usd + 1
        world.limits.charge(CONTOUR, "k", OTHER, world.clock.now(), most)
        with pytest.raises(Broken, match="budget"):
            watchman.look()

    def test_a_cycle_that_holds_its_place_for_ever(
        self, world: LightWorld, watchman: Watchman
    ) -> None:
        promoted(world)
        world.slots.claim(TARGET, OTHER, 1)
        with pytest.raises(Broken, match="still held"):
            watchman.end()

    def test_an_audit_that_was_changed(self, world: LightWorld, watchman: Watchman) -> None:
        path = world.folder_of(promoted(world)) / "audit.jsonl"
        path.write_bytes(path.read_bytes().replace(b"ALLOW", b"DENY", 1))
        with pytest.raises(Broken, match="the audit of"):
            watchman._audits()

    def test_a_drill_that_is_left_live(self, world: LightWorld, watchman: Watchman) -> None:
        cycle = world.ask_drill()
        commit(world, LiveRelease("v1.0-drill", world.founding.digest, cycle), "drill")
        watchman.look()
        world.cycles.finish(cycle, "success", world.clock.now())
        with pytest.raises(Broken, match="drill"):
            watchman.look()


class TestGuards:
    """What the walks once found, and that the checks find it again without its guard."""

    @pytest.mark.parametrize("guarded", [True, False])
    def test_a_release_that_an_operator_took_back_is_not_kept(
        self, world: LightWorld, watchman: Watchman, monkeypatch: pytest.MonkeyPatch, guarded: bool
    ) -> None:
        if not guarded:
            monkeypatch.setattr(live, "still_live", lambda _: None)
            monkeypatch.setattr(go_live, "still_live", lambda _: None)
        cycle = world.ask()

        def hear(boundary: str) -> None:
            if boundary == f"recorded:{cycle}/look:1":
                world.ask_rollback()
            if boundary == f"recorded:{cycle}/keep_gold":
                watchman.stable()

        world.at = hear
        if guarded:
            world.run()
            watchman.end()
            assert world.outcome(cycle) == "cancelled"
            assert world.desired.read().release == world.founding
        else:
            with pytest.raises(Broken, match="marked as stable"):
                world.run()

    @pytest.mark.parametrize("guarded", [True, False])
    def test_a_drill_waits_until_a_cycle_is_through(
        self, world: LightWorld, watchman: Watchman, monkeypatch: pytest.MonkeyPatch, guarded: bool
    ) -> None:
        if not guarded:
            monkeypatch.setattr(drill, "stand_in_line", lambda *_: None)
        cycle = world.ask()

        def hear(boundary: str) -> None:
            if boundary == f"recorded:{cycle}/start_experiment:applied":
                world.ask_drill()
            if boundary.startswith("recorded:"):
                watchman.commits()

        world.at = hear
        world.run()
        undisturbed = ["start-experiment", "promote", "end-watch",
                       "drill", "rollback", "rollback-end-watch"]  # fmt: skip
        assert (world.steps == undisturbed) is guarded
        if guarded:
            watchman.end()

    def test_a_release_whose_hold_back_others_ended_is_taken_back_all_the_same(
        self, world: LightWorld, watchman: Watchman
    ) -> None:
        cycle = world.ask()

        def hear(boundary: str) -> None:
            if boundary == f"recorded:{cycle}/look:1":
                world.desired.end_watch("Tidy up", {"Step": "other writer"})
                world.cycles.cancel(cycle, actor="ann", reason="stop", at=world.clock.now())

        world.at = hear
        world.run()
        watchman.end()
        assert world.outcome(cycle) == "cancelled"
        assert world.desired.read().release == world.founding

    def test_a_release_that_was_kept_is_not_rolled_back_by_what_fails_then(
        self, world: LightWorld, watchman: Watchman
    ) -> None:
        cycle = world.ask()

        def hear(boundary: str) -> None:
            if boundary == f"recorded:{cycle}/keep_gold":
                watchman.look()
                watchman.killed = True
                world.kill()

        world.at = hear
        world.run()
        watchman.end()
        assert world.desired.read().release.version == "v2.0"
        assert world.desired.read().holdback is not None, "nobody else gets it until it is lifted"


def test_a_walk_that_breaks_something_is_made_as_short_as_it_can_be() -> None:
    walk = [Event("nothing", n) for n in range(40)]
    needed = {walk[3], walk[17], walk[39]}
    assert shortest(lambda fewer: needed <= set(fewer), walk) == [walk[3], walk[17], walk[39]]

"""Rollback by flows: however many ask at once, one commit restores; a bad target is never applied
(I13)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from predator.adapters.runtime.virtual_flows import VirtualFlows
from predator.search.serving.agent import load_release
from tests.invariants.checks import Watchman
from tests.invariants.light_ring import CONTOUR, LightWorld

WorldWith = Callable[..., LightWorld]


@pytest.fixture
def promoted(world: LightWorld) -> LightWorld:
    """A second version was promoted and kept."""
    world.ask()
    world.run()
    assert world.desired.read().release.version == "v2.0"
    return world


def restoring(world: LightWorld) -> list[str]:
    """The commits that took a release back."""
    return [step for step in world.steps if step == "rollback"]


@pytest.mark.parametrize("to_version", [None, "v1.0"])
class TestTenAtOnce:
    def test_by_operators_make_one_commit(
        self, promoted: LightWorld, to_version: str | None
    ) -> None:
        flows = [promoted.ask_rollback(to_version) for _ in range(10)]
        promoted.run()
        Watchman(promoted)
        assert len(restoring(promoted)) == 1
        assert promoted.desired.read().release == promoted.founding
        assert promoted.serving == promoted.founding.digest
        found = [promoted.flows.status(flow) for flow in flows]
        assert {one.state for one in found if one} == {"done"}
        assert all(one.result["restored_s"] < 5 for one in found if one)

    def test_by_racing_workers_make_one_commit(
        self, promoted: LightWorld, to_version: str | None
    ) -> None:
        start = Barrier(10)
        asked = {
            "environment": CONTOUR, "to_version": to_version, "actor": "ann", "reason": "bad",
            "live": "v2.0",
        }  # fmt: skip

        def race(number: int) -> None:
            worker = VirtualFlows(promoted._flows(), clock=promoted.clock)
            worker.enqueue("rollback", f"race-{number}", asked)
            start.wait()
            worker.run_all()
            found = worker.status(f"race-{number}")
            assert found is not None and found.state == "done", found

        with ThreadPoolExecutor(10) as pool:
            list(pool.map(race, range(10)))
        assert len(restoring(promoted)) == 1
        assert promoted.serving == promoted.founding.digest

    @pytest.mark.parametrize(
        "boundary",
        ["recorded:{}/deploy:applied", "recorded:{}/look:1", "before:{}/rollback",
         "after:{}/rollback", "recorded:{}/rollback", "recorded:{}/rollback:applied"],
    )  # fmt: skip
    def test_by_operators_and_by_the_watch_make_one_commit(
        self, world: LightWorld, to_version: str | None, boundary: str
    ) -> None:
        cycle = world.ask("bad live")
        watchman = Watchman(world)

        def hear(at: str) -> None:
            if at == boundary.format(cycle):
                for _ in range(10):
                    world.ask_rollback(to_version)
            if at.startswith("recorded:"):
                watchman.commits()

        world.at = hear
        world.run()
        watchman.end()
        assert len(restoring(world)) == 1
        assert world.desired.read().release == world.founding


def test_twice_goes_back_two_versions(world: LightWorld) -> None:
    """Two people at once undo one release; one person who asks again undoes the next."""
    for _ in range(2):
        world.ask()
        world.run()
    assert world.desired.read().release.version == "v3.0"
    for version in ("v2.0", "v1.0"):
        world.ask_rollback()
        world.run()
        assert world.desired.read().release.version == version
    flow = world.ask_rollback()
    world.run()
    found = world.flows.status(flow)
    assert found is not None and "no other stable version" in found.error


def test_the_release_of_another_cycle_in_between_is_not_undone(world: LightWorld) -> None:
    """Somebody asks to leave v2.0 while v3.0 goes live: that is for its own watch to judge."""
    world.ask()
    world.run()
    cycle = world.ask()

    def hear(at: str) -> None:
        if at == f"before:{cycle}/deploy":
            world.ask_rollback()

    world.at = hear
    world.run()
    Watchman(world)
    assert world.outcome(cycle) == "success"
    assert world.desired.read().release.version == "v3.0"
    assert restoring(world) == []


class TestUnhealthyTarget:
    def break_it(self, world: LightWorld, part: str) -> None:
        release = load_release(world.objects.get(world.founding.digest))
        lost = {"release": world.founding.digest, "rules": release.rules,
                "encoder": release.encoder}[part]  # fmt: skip
        del world.objects._objects[lost]

    @pytest.mark.parametrize("part", ["release", "rules", "encoder"])
    def test_an_operator_is_refused(self, promoted: LightWorld, part: str) -> None:
        self.break_it(promoted, part)
        live = promoted.serving
        flows = [promoted.ask_rollback() for _ in range(10)]
        promoted.run()
        assert restoring(promoted) == []
        assert promoted.serving == live
        found = [promoted.flows.status(flow) for flow in flows]
        assert all(one and "v1.0 is not whole" in one.error for one in found)

    @pytest.mark.parametrize("part", ["rules", "encoder"])
    def test_the_watch_holds_and_pages(self, world: LightWorld, part: str) -> None:
        cycle = world.ask("bad live")

        def hear(at: str) -> None:
            if at == f"recorded:{cycle}/look:1":
                self.break_it(world, part)

        world.at = hear
        world.run()
        assert restoring(world) == []
        assert world.desired.read().release.version == "v2.0"
        assert [one.version for one in world.releases.list() if one.stable_at] == ["v1.0"]
        paged = [one.title for one in world.notifier.sent() if one.severity == "critical"]
        assert any("No rollback to v1.0: the contour holds" in title for title in paged)
        assert world.outcome(cycle) == "denied"

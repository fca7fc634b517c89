"""The state machine is closed: every step, with everything that can happen at it, has its end (I5).

Also: whatever a cycle waits for, it does not wait for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import pytest

from predator.adapters.runtime.virtual import Crash
from predator.domain.errors import PolicyDenied, PredatorError
from predator.domain.verdicts import Verdict
from predator.loop import go_live
from predator.ports.runtime import Json, Runtime
from tests.invariants.checks import Watchman
from tests.invariants.light_ring import TARGET, LightWorld

WorldWith = Callable[..., LightWorld]


def approved(world: LightWorld) -> str:
    """A cycle whose promotion a person approves after half a minute."""
    world.set_flag("manual_approval_required", True)
    world.clock.plan(world.clock.now() + 30, lambda: answer(world))
    return world.ask("better")


def answer(world: LightWorld) -> None:
    for one in world.approvals.list(pending=True):
        world.approvals.decide(
            one.id, approved=True, actor="bob", reason="looked", at=world.clock.now()
        )


def held(world: LightWorld) -> str:
    """A cycle whose traffic dries up in its watch."""
    world.clock.plan(world.clock.now() + 15, lambda: setattr(world, "traffic", 0.0))
    return world.ask("better")


SCENARIOS: Mapping[str, Callable[[LightWorld], str]] = {
    "better": lambda world: world.ask("better"),
    "bad live": lambda world: world.ask("bad live"),
    "worse online": lambda world: world.ask("worse online"),
    "approved": approved,
    "held": held,
    "drill": lambda world: world.ask_drill(),
    "rollback": lambda world: world.ask_rollback("v1.0"),
}
"""Ways through the flows that together take every step."""


class Faulty:
    """A runtime at whose step ``name`` something goes wrong: the first time, or each time.

    ``late``: the work is done, and only then it fails.
    """

    def __init__(
        self, inner: Runtime, name: str, error: type[PredatorError], *, late: bool, always: bool
    ) -> None:
        self._inner, self._name, self._error = inner, name, error
        self._late, self._always, self._hit = late, always, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def step(self, name: str, work: Callable[[], Json]) -> Json:
        def faulty() -> Json:
            if not name.endswith(f"/{self._name}") or (self._hit and not self._always):
                return work()
            self._hit = True
            if self._late:
                work()
            raise self._error("it broke")

        return self._inner.step(name, faulty)


@pytest.fixture(scope="module")
def steps(folders: Callable[[], Any]) -> Callable[[str], list[str]]:
    """The steps of a scenario that no scenario before it takes."""

    def all_of(scenario: str) -> list[str]:
        world = LightWorld(folders())
        SCENARIOS[scenario](world)
        world.run()
        Watchman(world).end()
        (flow,) = world.journal.flows.values()
        names = [step["name"] for step in flow["steps"] if "/" in step["name"]]
        return list(dict.fromkeys(name.split("/", 1)[1] for name in names))

    @cache
    def fresh(scenario: str) -> list[str]:
        known = {name for one in _before(scenario) for name in all_of(one)}
        if scenario in ("drill", "rollback"):
            known = set()
        found = [name for name in all_of(scenario) if name not in known]
        assert found
        return found

    return fresh


def _before(scenario: str) -> Iterator[str]:
    for name in SCENARIOS:
        if name == scenario:
            return
        yield name


def watched(world: LightWorld, at: Callable[[str], None] = lambda _: None) -> Watchman:
    """A world whose every commit is looked at, and whose boundaries ``at`` hears first."""
    watchman = Watchman(world)

    def hear(boundary: str) -> None:
        at(boundary)
        if boundary.startswith("recorded:"):
            watchman.commits()
        if boundary.endswith("/keep_gold"):
            watchman.stable()

    world.at = hear
    return watchman


@pytest.mark.parametrize("scenario", SCENARIOS)
class TestEveryStep:
    @pytest.mark.parametrize("when", ["before", "after", "recorded"])
    def test_a_crash_changes_nothing(
        self, world_with: WorldWith, steps: Callable[[str], list[str]], scenario: str, when: str
    ) -> None:
        undisturbed = world_with()
        SCENARIOS[scenario](undisturbed)
        undisturbed.run()
        for name in steps(scenario):
            world = world_with()
            waiting = [True]

            def crash(boundary: str, name: str = name, waiting: list[bool] = waiting) -> None:
                if waiting and boundary.startswith(when) and boundary.endswith(f"/{name}"):
                    waiting.clear()
                    raise Crash

            watchman = watched(world, crash)
            SCENARIOS[scenario](world)
            with pytest.raises(Crash):
                world.run()
            world.restart()
            world.run()
            watchman.end()
            assert world.steps == undisturbed.steps, name
            assert world.trainings in (undisturbed.trainings, undisturbed.trainings + 1), name
            assert _ends(world) == _ends(undisturbed), name
            assert len(world.tracking.models) == len(undisturbed.tracking.models), name

    @pytest.mark.parametrize(
        ("error", "late"),
        [(PredatorError, False), (PredatorError, True), (PolicyDenied, False)],
        ids=["fails", "fails afterwards", "is denied"],
    )
    def test_an_error_ends_it_with_users_on_what_is_allowed(
        self, world_with: WorldWith, steps: Callable[[str], list[str]], scenario: str,
        error: type[PredatorError], late: bool,
    ) -> None:  # fmt: skip
        for name in steps(scenario):
            world = world_with()
            watchman = watched(world)
            world.through = lambda runtime, name=name: Faulty(  # type: ignore[misc]
                runtime, name, error, late=late, always=False
            )
            SCENARIOS[scenario](world)
            world.run()
            watchman.end()

    def test_a_person_who_cancels_it_is_heard(
        self, world_with: WorldWith, steps: Callable[[str], list[str]], scenario: str
    ) -> None:
        for name in steps(scenario):
            world = world_with()

            def cancel(boundary: str, world: LightWorld = world, name: str = name) -> None:
                if boundary.startswith("before") and boundary.endswith(f"/{name}"):
                    (entry,) = world.cycles.list()
                    world.cycles.cancel(
                        entry.cycle_id, actor="ann", reason="stop", at=world.clock.now()
                    )

            watchman = watched(world, cancel)
            SCENARIOS[scenario](world)
            world.run()
            watchman.end()

    @pytest.mark.nightly
    @pytest.mark.parametrize("late", [False, True], ids=["instead", "afterwards"])
    def test_a_step_that_always_fails_is_said_and_holds_nobody_up(
        self, world_with: WorldWith, steps: Callable[[str], list[str]], scenario: str, late: bool
    ) -> None:
        """Even where the way back itself is broken: then people are paged."""
        for name in steps(scenario):
            world = world_with()
            world.through = lambda runtime, name=name: Faulty(  # type: ignore[misc]
                runtime, name, PredatorError, late=late, always=True
            )
            SCENARIOS[scenario](world)
            world.run()
            assert world.slots.holders(TARGET) == [], name
            assert not world.limits.spent("local", world.clock.now()).reserved_usd
            assert all(entry.outcome for entry in world.cycles.list()), name
            live = world.desired.read()
            back = live.release == world.founding and live.experiment is None
            kept = [one.version for one in world.releases.list() if one.stable_at is not None]
            paged = [notice for notice in world.notifier.sent() if notice.severity == "critical"]
            closed = all(
                (world.folder_of(entry.cycle_id) / "audit.jsonl").read_bytes().count(b'"summary"')
                for entry in world.cycles.list()
            )
            assert paged or (closed and (back or live.release.version in kept)), name


def _ends(world: LightWorld) -> list[tuple[str, str]]:
    return [(entry.cycle_id, entry.outcome) for entry in world.cycles.list()]


class TestEveryWaitHasAnEnd:
    def test_an_approval_that_nobody_gives(self, world: LightWorld) -> None:
        world.set_flag("manual_approval_required", True)
        cycle = world.ask()
        world.run()
        Watchman(world).end()
        assert world.outcome(cycle) == "denied"
        assert world.steps == ["start-experiment", "end-experiment"]

    def test_traffic_that_never_comes(self, world: LightWorld) -> None:
        world.at = lambda boundary: (
            setattr(world, "traffic", 0.0) if boundary.endswith("/start_experiment") else None
        )
        cycle = world.ask()
        world.run()
        Watchman(world).end()
        assert world.outcome(cycle) == "error"
        assert world.steps == ["start-experiment", "end-experiment"]

    def test_traffic_that_ends_during_the_watch(self, world: LightWorld) -> None:
        """It holds and says so; it keeps nothing for lack of data."""
        cycle = held(world)
        world.run()
        Watchman(world).end()
        assert world.outcome(cycle) == "success"
        assert world.steps == ["start-experiment", "promote"]
        assert [one.version for one in world.releases.list() if one.stable_at] == ["v1.0"]
        assert any("could not be judged" in notice.title for notice in world.notifier.sent())

    @pytest.mark.parametrize("ask", ["cycle", "drill"])
    def test_what_comes_after_a_held_release_leaves_its_hold_back(
        self, world: LightWorld, ask: str
    ) -> None:
        """Nobody has kept it: it is no baseline, and users held back stay so."""
        held(world)
        world.run()
        world.traffic = 1.0
        wanted = world.desired.read()
        cycle = world.ask() if ask == "cycle" else world.ask_drill()
        world.run()
        assert world.outcome(cycle) == "error"
        assert world.desired.read() == wanted
        assert wanted.holdback is not None

    def test_evidence_of_the_edge_that_is_void_before_the_commit(
        self, world: LightWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The edge went back from the release while a person thought about it."""
        said = iter([Verdict.PASS, Verdict.INCONCLUSIVE])
        monkeypatch.setattr(go_live, "_edge_verdict", lambda *_: str(next(said)))
        cycle = approved(world)
        world.run()
        assert world.outcome(cycle) == "denied"
        assert world.steps == ["start-experiment", "end-experiment"]

    @pytest.mark.parametrize("ask", ["cycle", "drill"])
    def test_a_place_that_never_comes_free(self, world: LightWorld, ask: str) -> None:
        """Its holder is gone for good: whoever stands in line says so in the end."""
        world.slots.claim(TARGET, "si_2025_12_06_001", 1)
        began = world.clock.now()
        cycle = world.ask() if ask == "cycle" else world.ask_drill()
        world.run()
        assert world.outcome(cycle) == "error"
        assert world.steps == []
        assert world.slots.holders(TARGET) == ["si_2025_12_06_001"]
        assert 86_400 < world.clock.now() - began < 2 * 86_400
        (notice,) = world.notifier.sent()
        assert "si_2025_12_06_001 holds it" in notice.text

    def test_cycles_in_line_take_their_turns(self, world: LightWorld) -> None:
        watchman = watched(world)
        cycles = [world.ask(kind) for kind in ("better", "bad live", "worse online", "better")]
        world.run()
        watchman.end()
        assert [world.outcome(cycle) for cycle in cycles] == [
            "success", "rolled_back", "success", "success",
        ]  # fmt: skip
        assert world.steps == [
            "start-experiment", "promote", "end-watch",
            "start-experiment", "promote", "rollback", "rollback-end-watch",
            "start-experiment", "end-experiment",
            "start-experiment", "promote", "end-watch",
        ]  # fmt: skip

"""The kill switch dominates: nothing goes forward after its acknowledgement (I14)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.fence.file import FileFence
from predator.adapters.fence.memory import MemoryFence
from predator.adapters.runtime.virtual import Crash, Journal, VirtualRuntime
from predator.adapters.tokens.memory import MemoryTokens
from predator.domain.errors import PolicyDenied
from predator.loop.operator.desk import Desk
from predator.loop.operator.service import Operator
from predator.loop.record import FENCED, Record
from predator.policy.decision import Context
from tests.invariants.checks import Watchman
from tests.invariants.light_ring import CONTOUR, TARGET, LightWorld

WorldWith = Callable[..., LightWorld]
WHEN = ("before", "after", "recorded")
ACKNOWLEDGED_S = 1.0


def operator(world: LightWorld) -> Operator:
    """The operator's desk over the stores of a world."""
    return Operator(
        Desk(
            flags=world.flags, approvals=world.approvals, overrides=world.overrides,
            limits=world.limits, slots=world.slots, cycles=world.cycles, tokens=MemoryTokens(),
            flows=world.flows, notifier=world.notifier, gitops=world.gitops, clock=world.clock,
            artifacts=world.folder, journal=world.folder / "operators.jsonl",
            contours={CONTOUR: world.rules}, releases=world.releases,
            drained=world.ring.governance.fence.drained, later=lambda work: work(),
        )
    )  # fmt: skip


def forward(world: LightWorld) -> Mapping[str, Any]:
    """Everything that a loop may add to the world by going forward."""
    return {
        "trainings": world.trainings,
        "models": len(world.tracking.models),
        "aliases": dict(world.tracking.aliases),
        "versions": [(one.version, one.stable_at, one.gold_at) for one in world.releases.list()],
    }


def names_of(world_with: WorldWith, kind: str) -> list[str]:
    """The steps of an undisturbed cycle, each once."""
    world = world_with()
    world.ask(kind)
    world.run()
    (flow,) = world.journal.flows.values()
    return list(dict.fromkeys(step["name"] for step in flow["steps"] if "/" in step["name"]))


class TestAtEveryBoundary:
    @pytest.mark.parametrize("kind", ["better", "bad live", "worse online"])
    @pytest.mark.parametrize("when", WHEN)
    def test_nothing_goes_forward_any_more_and_users_are_taken_back(
        self, world_with: WorldWith, kind: str, when: str
    ) -> None:
        for name in names_of(world_with, kind):
            world = world_with()
            watchman, at_the_stop = Watchman(world), [forward(world)]

            def hear(
                boundary: str, world: LightWorld = world, name: str = name,
                watchman: Watchman = watchman, seen: list[Mapping[str, Any]] = at_the_stop,
            ) -> None:  # fmt: skip
                if boundary == f"{when}:{name}":
                    watchman.look()
                    assert operator(world).stop(CONTOUR, actor="ann", reason="test").drained
                    watchman.killed = True
                    seen[:] = [forward(world)]
                watchman.commits()

            world.at = hear
            world.ask(kind)
            world.run()
            watchman.end()
            assert watchman.killed, name
            assert forward(world) == at_the_stop[0], f"{when} {name}"

    def test_it_survives_a_restart_and_starts_nothing_new(self, world: LightWorld) -> None:
        def crash(boundary: str) -> None:
            if boundary.endswith("/start_experiment:applied"):
                world.kill()
                raise Crash

        watchman = Watchman(world)
        world.at = crash
        world.ask()
        with pytest.raises(Crash):
            world.run()
        watchman.look()
        watchman.killed = True
        world.at = lambda _: None
        world.restart()
        cycle = world.ask()
        world.run()
        watchman.end()
        assert world.outcome(cycle) == "denied"
        assert world.steps == ["start-experiment", "end-experiment"]

    @pytest.mark.parametrize("to_version", [None, "v1.0"])
    def test_a_rollback_is_still_possible(self, world: LightWorld, to_version: str | None) -> None:
        world.ask()
        world.run()
        assert world.desired.read().release.version == "v2.0"
        world.kill()
        world.ask_rollback(to_version)
        world.run()
        assert world.desired.read().release == world.founding
        assert world.serving == world.founding.digest

    def test_no_override_lifts_it(self, world: LightWorld) -> None:
        desk = operator(world)
        world.kill()
        desk.override_policy(
            CONTOUR, "begin_cycle", actor="eve", reason="now",
            expires_at=world.clock.now() + 3600,
        )  # fmt: skip
        cycle = world.ask()
        world.run()
        assert world.outcome(cycle) == "denied"


FENCES: Mapping[str, Callable[[Path], Any]] = {
    "memory": lambda _: MemoryFence(),
    "file": lambda folder: FileFence(folder / "fence.lock"),
}


@pytest.mark.flaky(reruns=3, reruns_delay=1)
@pytest.mark.parametrize("fence", FENCES)
@pytest.mark.parametrize("round_", range(3))
def test_under_load_it_is_acknowledged_within_a_second_and_nothing_follows(
    world_with: WorldWith, fence: str, round_: int
) -> None:
    """Sixteen workers have effects as fast as they can; each notes when one of them ended."""
    world = world_with()
    world.folder.mkdir(parents=True, exist_ok=True)
    world.fence = FENCES[fence](world.folder)
    world.restart()
    effects: list[tuple[float, str]] = []
    denied = threading.Semaphore(0)
    names = sorted(FENCED - {"drill"})

    def work(number: int) -> None:
        cycle = world.cycles.open(f"load-{number}", CONTOUR, {"type": "test"}, world.clock.now())
        runtime = VirtualRuntime(cycle, clock=world.clock, journal=Journal())
        record = Record(world.ring, runtime, cycle, {"type": "test"})
        record.begin()
        evidence: Context = {
            "evaluation": "PASS", "experiment": "PASS", "experiments_within_limit": True,
        }  # fmt: skip

        def effect(name: str) -> str:
            time.sleep(0.001)
            effects.append((time.monotonic(), name))
            return name

        try:
            for turn in range(100_000):
                name = names[turn % len(names)]
                record.act(f"{name}-{turn}", name, partial(effect, name), context=evidence)
        except PolicyDenied:
            record.act(
                "back", "rollback", lambda: "back", context={"rollback_target_healthy": True}
            )
            denied.release()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    while len(effects) < 100:
        time.sleep(0.005)
    started = time.monotonic()
    answer = operator(world).stop(CONTOUR, actor="ann", reason="fire")
    acknowledged = time.monotonic()
    for thread in threads:
        thread.join(30)
    assert acknowledged - started <= ACKNOWLEDGED_S
    assert answer.drained and answer.recorded
    assert [name for at, name in effects if at > acknowledged] == []
    assert sum(denied.acquire(blocking=False) for _ in threads) == len(threads)


def test_it_is_heard_in_line(world: LightWorld) -> None:
    """A cycle that waits for its place leaves the line instead of starting later."""
    world.slots.claim(TARGET, "si_2025_12_06_001", 1)
    world.clock.plan(world.clock.now() + 100, world.kill)
    cycle = world.ask()
    world.run()
    assert world.outcome(cycle) == "cancelled"
    assert world.steps == []
    assert world.slots.holders(TARGET) == ["si_2025_12_06_001"]


def test_a_drill_is_stopped_and_undone(world: LightWorld) -> None:
    watchman = Watchman(world)

    def hear(boundary: str) -> None:
        if boundary.endswith("recorded:si_2025_12_07_001/deploy:applied"):
            watchman.look()
            world.kill()
            watchman.killed = True

    world.at = hear
    world.ask_drill()
    world.run()
    watchman.end()
    assert world.steps == ["drill", "rollback", "rollback-end-watch"]
    assert world.serving == world.founding.digest

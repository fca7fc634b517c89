"""Days pass in milliseconds, and a crash at any boundary loses nothing and doubles nothing."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from predator.adapters.runtime.virtual import Crash, Journal, VirtualClock, VirtualRuntime
from predator.adapters.runtime.virtual_flows import VirtualFlows
from predator.ports.runtime import Json, Runtime

DAY = 86_400.0
START = VirtualClock().now()


class World:
    """Effects that are idempotent by their key."""

    def __init__(self) -> None:
        self.effects: dict[str, int] = {}
        self.ran: list[str] = []

    def act(self, key: str) -> Json:
        self.ran.append(key)
        return self.effects.setdefault(key, len(self.effects))


def cycle(world: World, runtime: Runtime, _: Json) -> Json:
    """Train, a week of experiment, an approval, a watch of twelve looks in two hours."""
    runtime.emit("station", "train")
    trained = runtime.step("train", partial(world.act, "train"))
    started = runtime.now()
    runtime.sleep(7 * DAY)
    approval = runtime.wait("approval", 3 * DAY)
    looks = []
    for look in range(12):
        runtime.sleep(600.0)
        looks.append(runtime.step(f"look {look}", partial(world.act, f"look {look}")))
    return [trained, approval, looks, round((runtime.now() - started) / 3600.0)]


EXPECTED = [0, "yes", list(range(1, 13)), 9 * 24 + 2]


def approved(flows: VirtualFlows, start: float) -> None:
    send = partial(flows.send, "f1", "approval", "yes", key="1")
    flows.clock.plan(start + 9 * DAY, send)


def test_a_week_and_two_hours_pass_in_milliseconds() -> None:
    started = time.process_time()
    world = World()
    flows = VirtualFlows({"cycle": partial(cycle, world)})
    approved(flows, flows.clock.now())
    assert flows.run("cycle", "f1", None) == EXPECTED
    assert time.process_time() - started < 3.0


def boundaries() -> list[str]:
    seen: list[str] = []
    flows = VirtualFlows({"cycle": partial(cycle, World())}, at=seen.append)
    approved(flows, flows.clock.now())
    flows.run("cycle", "f1", None)
    return seen


def test_a_crash_at_any_boundary_loses_nothing(tmp_path: Path) -> None:
    events = boundaries()
    assert len(events) == 3 * 15
    for crash_at in range(len(events)):
        world, clock, left = World(), VirtualClock(), [crash_at]

        def at(event: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == -1:
                raise Crash(event)

        journal = tmp_path / f"{crash_at}.json"
        flow = partial(cycle, world)
        first = VirtualFlows({"cycle": flow}, clock=clock, journal=Journal(journal), at=at)
        approved(first, clock.now())
        with pytest.raises(Crash, match=events[crash_at]):
            first.run("cycle", "f1", None)
        clock = VirtualClock(clock.now())
        again = VirtualFlows({"cycle": flow}, clock=clock, journal=Journal(journal), at=at)
        if clock.now() < START + 9 * DAY:
            approved(again, START)
        assert again.run("cycle", "f1", None) == EXPECTED
        assert len(world.effects) == 13
        twice = [key for key in world.effects if world.ran.count(key) > 1]
        was_after_work = events[crash_at].startswith("after:") and "now" not in events[crash_at]
        assert len(twice) == was_after_work


def test_many_flows_share_the_time() -> None:
    order: list[str] = []

    def experiment(runtime: Runtime, _: Json) -> Json:
        runtime.sleep(7 * DAY)
        runtime.step("end", partial(order.append, "experiment"))
        return runtime.now()

    def short(runtime: Runtime, _: Json) -> Json:
        runtime.sleep(3600.0)
        runtime.step("end", partial(order.append, runtime.flow_id))
        return runtime.now()

    flows = VirtualFlows({"experiment": experiment, "short": short})
    start = flows.clock.now()
    flows.enqueue("experiment", "long", None)
    for day in range(10):
        enqueue = partial(flows.enqueue, "short", f"short {day}", None)
        flows.clock.plan(start + day * DAY, enqueue)
    flows.clock.advance(0.0)
    flows.run_all()
    assert order == [f"short {day}" for day in range(7)] + ["experiment", "short 7"]


def test_one_runtime_alone_is_enough_for_a_flow() -> None:
    journal, clock = Journal(), VirtualClock(0.0)
    world = World()

    def flow(runtime: Runtime) -> Json:
        runtime.sleep(10.0)
        return [runtime.step("work", partial(world.act, "a")), runtime.wait("topic", 5.0)]

    def crash(event: str) -> None:
        if event == "recorded:work":
            raise Crash(event)

    with pytest.raises(Crash):
        flow(VirtualRuntime(clock=clock, journal=journal, at=crash))
    assert flow(VirtualRuntime(clock=clock, journal=journal)) == [0, None]
    assert (world.ran, clock.now()) == (["a"], 15.0)

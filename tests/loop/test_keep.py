"""A release that its watch could not judge is kept by a person, or by nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from predator.domain.errors import ConflictError, InputError, PredatorError
from predator.journal.audit import verify_journal
from predator.loop.operator.desk import NotFoundError
from predator.loop.operator.service import Operator
from tests.edge.api.served import Served
from tests.invariants.light_ring import LightWorld, fast_folder
from tests.loop.operator_world import World


@pytest.fixture
def world() -> Iterator[LightWorld]:
    with fast_folder() as folder:
        yield LightWorld(folder)


def held(world: LightWorld) -> str:
    """A release that got no traffic: its watch ended in HOLD; its cycle."""
    cycle = world.ask()
    world.at = lambda at: setattr(world, "traffic", 0.0) if at.endswith("/deploy") else None
    world.run()
    assert world.desired.read().holdback is not None
    return cycle


def result(world: LightWorld, flow_id: str) -> tuple[str, str]:
    found = world.flows.status(flow_id)
    assert found is not None
    return found.state, found.error


def test_people_are_told_how_to_keep_it(world: LightWorld) -> None:
    cycle = held(world)
    (notice,) = [one for one in world.notifier.sent() if one.cycle_id == cycle]
    assert f"predator cycle keep {cycle}" in notice.text


def test_its_holdback_ends_and_it_is_stable_but_not_gold(world: LightWorld) -> None:
    cycle = held(world)
    assert result(world, world.ask_keep(cycle)) == ("queued", "")
    world.run()
    assert world.desired.read().holdback is None
    newest = world.releases.list()[0]
    assert (newest.version, newest.stable_at is not None, newest.gold_at) == ("v2.0", True, None)
    assert world.steps[-1] == "end-watch"
    own = world.cycles.list(None, limit=1)[0]
    assert own.trigger["type"] == "operator_keep"
    assert verify_journal(world.folder_of(own.cycle_id) / "audit.jsonl").ok
    assert "ann" in (world.folder_of(own.cycle_id) / "audit.jsonl").read_text()


def test_it_is_a_version_to_go_back_to_afterwards(world: LightWorld) -> None:
    cycle = held(world)
    world.ask_keep(cycle)
    world.run()
    world.at, world.traffic = lambda _: None, 1.0
    world.ask()
    world.run()
    assert world.desired.read().release.version == "v3.0"
    world.ask_rollback()
    world.run()
    assert world.desired.read().release.version == "v2.0"


def test_twice_is_once(world: LightWorld) -> None:
    cycle = held(world)
    flows = [world.ask_keep(cycle) for _ in range(2)]
    world.run()
    assert [result(world, flow)[0] for flow in flows] == ["done", "failed"]
    assert "nothing to keep" in result(world, flows[1])[1]
    assert world.steps.count("end-watch") == 1


def test_one_that_was_replaced_meanwhile_is_not_kept(world: LightWorld) -> None:
    cycle = held(world)
    world.ask_rollback("v1.0")
    world.run()
    flow = world.ask_keep(cycle)
    world.run()
    state, error = result(world, flow)
    assert state == "failed" and "v1.0" in error and "is live" in error
    assert [one.version for one in world.releases.list() if one.stable_at] == ["v1.0"]


def test_the_kill_switch_keeps_it_from_being_kept(world: LightWorld) -> None:
    cycle = held(world)
    world.kill()
    flow = world.ask_keep(cycle)
    world.run()
    assert result(world, flow)[0] == "failed"
    assert world.desired.read().holdback is not None
    assert world.releases.list()[0].stable_at is None


@pytest.mark.parametrize("boundary", ["keep_gold", "end_watch"])
def test_it_goes_on_where_it_was_killed(world: LightWorld, boundary: str) -> None:
    cycle = held(world)
    flow = world.ask_keep(cycle)
    died: list[str] = []

    def die(at: str) -> None:
        if at.startswith("after:") and at.endswith(f"/{boundary}") and not died:
            died.append(at)
            raise KeyboardInterrupt

    world.at = die
    with pytest.raises(KeyboardInterrupt):
        world.run()
    world.at = lambda _: None
    world.restart()
    world.run()
    assert result(world, flow)[0] == "done"
    assert world.steps.count("end-watch") == 1


class TestDesk:
    @pytest.fixture
    def desk(self, tmp_path: Path) -> World:
        return World(tmp_path)

    def opened(self, desk: World) -> str:
        return desk.desk.cycles.open("k", "edge-oracle", {"type": "manual"}, desk.now)

    def test_a_cycle_that_still_watches_is_not_kept_by_hand(self, desk: World) -> None:
        cycle = self.opened(desk)
        with pytest.raises(ConflictError, match="its watch may still decide"):
            desk.operator.keep(cycle, actor="ann", reason="fine")

    def test_who_asked_and_why_is_on_record_and_the_same_key_is_one_flow(self, desk: World) -> None:
        cycle = self.opened(desk)
        desk.desk.cycles.finish(cycle, "success", desk.now)
        flows = {desk.operator.keep(cycle, actor="ann", reason="fine", key="k") for _ in range(3)}
        (flow,) = flows
        assert desk.operator.keep_status(flow).state == "queued"
        asked = next(one for one in desk.journal() if one.get("verb") == "keep")
        assert (asked["actor"], asked["arguments"]["reason"]) == ("ann", "fine")

    @pytest.mark.parametrize("work", [lambda o: o.keep_status("keep-local-x"),
                                      lambda o: o.keep("si_2020_01_01_001", actor="a", reason="b"),
                                      lambda o: o.keep_status("rollback-local-1")])  # fmt: skip
    def test_what_is_not_there_is_said(self, desk: World, work: Callable[..., object]) -> None:
        with pytest.raises(NotFoundError):
            work(desk.operator)


class TestTarget:
    """Where a rollback goes is checked when it is asked for, not when a worker takes it."""

    @pytest.fixture
    def desk(self, tmp_path: Path, world: LightWorld) -> World:
        made = World(tmp_path)
        made.desk = replace(made.desk, releases=world.releases, gitops=world.gitops)
        made.operator = Operator(made.desk)
        return made

    def test_an_unknown_version_is_refused_at_once(self, desk: World) -> None:
        with pytest.raises(NotFoundError, match=r"no release 'v9\.0'"):
            desk.operator.rollback("local", "v9.0", actor="ann", reason="x")
        assert desk.journal() == []

    def test_one_that_never_proved_stable_is_refused_with_those_that_did(
        self, desk: World, world: LightWorld
    ) -> None:
        held(world)
        with pytest.raises(InputError, match=r"v2\.0 never proved stable") as caught:
            desk.operator.rollback("local", "v2.0", actor="ann", reason="x")
        assert caught.value.cure == "Stable are v1.0"
        assert desk.operator.rollback("local", "v1.0", actor="ann", reason="x")

    def test_one_that_another_contour_alone_had_is_refused_at_once(self, desk: World) -> None:
        with pytest.raises(InputError, match=r"v1\.0 was never live on edge-oracle"):
            desk.operator.rollback("edge-oracle", "v1.0", actor="ann", reason="x")
        assert desk.journal() == []

    def test_a_register_that_cannot_be_read_keeps_nobody_from_going_back(
        self, desk: World, world: LightWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken() -> object:
            raise PredatorError("git is broken")

        monkeypatch.setattr(world.releases, "list", broken)
        assert desk.operator.rollback("local", "v7.0", actor="ann", reason="x")

    def test_the_api_answers_404(self, desk: World) -> None:
        served = Served(desk.folder, world=desk)
        answer = served.post("/rollback", {"environment": "local", "to_version": "v9.0"})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"

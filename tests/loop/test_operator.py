"""What people can do with the loop, whichever way they come in."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.errors import ConflictError, InputError, PolicyDenied, PredatorError
from predator.domain.governance import KILL_SWITCH, CycleEntry, Flag, Role
from predator.journal.audit import AuditJournal, verify_journal
from predator.loop.operator.desk import NotFoundError, expiry, same_person
from predator.loop.operator.service import Operator
from predator.loop.operator.tokens import digest_of_token
from tests.loop.operator_world import CYCLE, DAY, World

ANN = "ann"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def down(*_: Any, **__: Any) -> Any:
    raise PredatorError("the database is down")


# Stop and start.


def test_stop_engages_the_switch_everywhere(world: World) -> None:
    switched = world.operator.stop(actor=ANN)
    assert switched.stopped == ("compute-nvidia", "dev-mac", "edge-oracle", "local")
    assert world.stop_row("all") is True
    assert all(world.operator.state(contour).stopped for contour in world.desk.contours)


def test_stop_of_one_contour_leaves_the_others(world: World) -> None:
    assert world.operator.stop("local", actor=ANN).stopped == ("local",)
    assert not world.operator.state("dev-mac").stopped


def test_start_of_one_contour_does_not_outweigh_a_stop_of_all(world: World) -> None:
    world.operator.stop(actor=ANN)
    switched = world.operator.start("local", actor=ANN, reason="checked")
    assert "local" in switched.stopped
    assert world.operator.start("all", actor=ANN, reason="checked").stopped == ()


@pytest.mark.parametrize("reason", ["", " ", "\n"])
def test_start_needs_a_reason(world: World, reason: str) -> None:
    world.operator.stop(actor=ANN)
    with pytest.raises(InputError, match="reason"):
        world.operator.start("all", actor=ANN, reason=reason)
    assert world.stop_row("all") is True


def test_stop_is_acknowledged_only_if_it_reads_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.desk.flags, "put", lambda *_, **__: None)
    with pytest.raises(PredatorError, match="does not read back"):
        world.operator.stop(actor=ANN)


@pytest.mark.parametrize("damage", [b"no journal\n", None])
def test_stop_holds_though_its_record_cannot_be_written(world: World, damage: bytes | None) -> None:
    if damage is None:
        world.desk.journal.mkdir()
    else:
        world.desk.journal.write_bytes(damage)
    switched = world.operator.stop(actor=ANN, reason="fire")
    assert (switched.engaged, switched.recorded) == (True, False)
    (notice,) = world.desk.notifier.sent()
    assert notice.severity == "critical"
    assert "could not be written" in notice.text
    with pytest.raises((PredatorError, OSError)):
        world.operator.start("all", actor=ANN, reason="out")
    assert world.stop_row("all") is True


def test_stop_does_not_wait_for_notices(tmp_path: Path) -> None:
    held = threading.Event()
    world = World(tmp_path)
    desk = replace(world.desk, later=lambda work: threading.Thread(target=held.wait).start())
    assert Operator(desk).stop(actor=ANN).engaged
    held.set()


def test_people_are_told_of_stop_and_start(world: World) -> None:
    world.operator.stop("local", actor=ANN, reason="fire")
    world.operator.start("local", actor=ANN, reason="out")
    titles = [notice.title for notice in world.desk.notifier.sent()]
    assert titles == ["The loop was started on local", "The loop was stopped on local"]


@pytest.mark.parametrize("contour", ["mars", "", "LOCAL", "local\n"])
def test_an_unknown_contour_is_named(world: World, contour: str) -> None:
    with pytest.raises(NotFoundError, match=r"Known: .*local"):
        world.operator.stop(contour, actor=ANN)
    assert list(world.desk.flags.rows()) == []


# The state.


def test_the_state_says_all_that_matters(world: World) -> None:
    world.publish("v1.0")
    asked = world.ask()
    world.desk.slots.claim("local/ranking", asked.cycle_id, 1)
    world.desk.limits.begin_cycle("local", asked.cycle_id, world.now, 6)
    world.desk.limits.reserve("local", asked.cycle_id, world.now, 7.0, 500.0)
    state = world.operator.state("local")
    assert state.live is not None
    assert state.live.version == "v1.0"
    assert [entry.cycle_id for entry in state.running] == [asked.cycle_id]
    assert state.approvals_pending == [asked.id]
    assert state.experiments == {"ranking": [asked.cycle_id]}
    assert (state.cycles_today, state.max_cycles_per_day) == (1, 6)
    assert state.spend is not None
    assert (state.spend.reserved_usd, state.budget_usd) == (7.0, 500.0)
    assert state.unknown == {}
    assert state.flags["manual_approval_required"] is True


def test_the_state_shows_what_can_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for store, name in (
        (world.desk.flags, "rows"),
        (world.desk.cycles, "list"),
        (world.desk.approvals, "list"),
        (world.desk.slots, "holders"),
        (world.desk.limits, "spent"),
        (world.desk.gitops, "read"),
    ):
        monkeypatch.setattr(store, name, down)
    state = world.operator.state("local")
    assert state.stopped
    assert state.cycles_today == 0
    assert set(state.unknown) == {"flags", "cycles", "approvals", "experiments", "limits", "live"}


def test_an_expired_request_is_pending_no_more(world: World) -> None:
    world.ask()
    world.clock.advance(DAY)
    assert world.operator.state("local").approvals_pending == []


# Cycles and rollbacks.


def test_a_requested_cycle_is_registered_and_queued(world: World) -> None:
    cycle_id = world.operator.request_cycle("local", actor=ANN, reason="try it")
    entry = world.desk.cycles.get(cycle_id)
    assert entry is not None
    assert entry.trigger == {"type": "manual", "actor": ANN, "reason": "try it"}
    flow = world.desk.flows.status(cycle_id)
    assert flow is not None
    assert (flow.name, flow.state) == ("cycle", "queued")


def test_the_same_key_is_the_same_act(world: World) -> None:
    operator = world.operator
    cycles = {operator.request_cycle("local", actor=ANN, reason="x", key="k") for _ in range(3)}
    flows = {operator.rollback("local", actor=ANN, reason="x", key="k") for _ in range(3)}
    granted = {
        operator.override_policy(
            "local", "promote", reason="x", expires_at=world.now + 9, actor=ANN, key="k"
        ).id
        for _ in range(3)
    }
    assert len(cycles) == len(flows) == len(granted) == 1
    assert len(world.desk.cycles.list()) == len(world.desk.overrides.list()) == 1
    other = operator.request_cycle("local", actor="ben", reason="x", key="k")
    assert other not in cycles


def test_a_cycle_is_cancelled_once_and_not_after_its_end(world: World) -> None:
    cycle_id = world.operator.request_cycle("local", actor=ANN, reason="x")
    assert world.operator.cancel_cycle(cycle_id, actor=ANN, reason="no")
    assert not world.operator.cancel_cycle(cycle_id, actor="ben", reason="no")
    world.desk.cycles.finish(cycle_id, "cancelled", world.now)
    with pytest.raises(ConflictError, match="has ended"):
        world.operator.cancel_cycle(cycle_id, actor=ANN, reason="no")


def test_a_cycle_without_a_register_is_found_by_its_files(world: World) -> None:
    world.leave_cycle()
    detail = world.operator.cycle(CYCLE)
    assert detail.entry == CycleEntry(
        CYCLE, "local", {"type": "schedule"}, world.now, outcome="success"
    )
    assert detail.flow is None
    assert detail.audit.ok
    assert list(detail.artifacts) == ["ab_test_results.json", "audit.jsonl", "model/release.json"]
    with pytest.raises(NotFoundError):
        world.operator.cycle("si_2025_12_06_999")


def test_a_cycle_is_shown_though_the_flow_database_is_down(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.leave_cycle()
    monkeypatch.setattr(world.desk.flows, "status", down)
    detail = world.operator.cycle(CYCLE)
    assert (detail.flow, detail.flow_error) == (None, "the database is down")


def test_a_tampered_audit_is_told(world: World) -> None:
    folder = world.leave_cycle()
    assert world.operator.audit(CYCLE).verified.ok
    path = folder / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b"success", b"failure"))
    trail = world.operator.audit(CYCLE)
    assert (trail.verified.ok, trail.verified.first_bad) == (False, 2)
    assert len(trail.records) == 1
    assert not world.operator.audit_verify()[CYCLE].ok


def test_an_audit_cut_at_its_end_is_found_by_its_anchor(world: World) -> None:
    folder = world.leave_cycle()
    head = verify_journal(folder / "audit.jsonl").head
    anchored = Operator(replace(world.desk, anchor=lambda _: head))
    assert anchored.audit(CYCLE).verified.ok
    lines = (folder / "audit.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "audit.jsonl").write_bytes(lines[0])
    assert world.operator.audit(CYCLE).verified.ok
    assert not anchored.audit(CYCLE).verified.ok


@pytest.mark.parametrize(
    "content", [b"[]", b"nonsense", b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}', b"\xff"]
)
def test_results_that_no_answer_could_hold_are_left_out(world: World, content: bytes) -> None:
    (world.leave_cycle() / "ab_test_results.json").write_bytes(content)
    assert list(world.operator.experiments("local").past) == []


def test_a_rollback_says_where_it_is(world: World) -> None:
    flow_id = world.operator.rollback("edge-oracle", "v2.0", actor=ANN, reason="slow")
    assert world.operator.rollback_contour(flow_id) == "edge-oracle"
    assert world.operator.rollback_status(flow_id).state == "queued"
    for unknown in ("rollback-local-x", "cycle", f"{flow_id}x", "rollback-"):
        with pytest.raises(NotFoundError):
            world.operator.rollback_status(unknown)


def test_releases_are_the_history_of_git(world: World) -> None:
    assert list(world.operator.releases("local")) == []
    first = world.publish("v1.0")
    bad = world.publish("v1.1")
    world.publish("v1.0", "edge-oracle")
    found = world.operator.releases("local")
    assert [(entry.number, entry.version, entry.live) for entry in found] == [
        (2, "v1.1", True),
        (1, "v1.0", False),
    ]
    assert [entry.revision for entry in found] == [bad, first]


def test_the_running_experiment_is_what_git_wants(world: World) -> None:
    world.leave_cycle()
    assert list(world.operator.experiments("local").running) == []
    world.publish("v1.0", experiment=True)
    found = world.operator.experiments("local")
    assert [one.share for one in found.running] == [0.2]
    assert [past["cycle_id"] for past in found.past] == [CYCLE]
    assert list(world.operator.experiments("dev-mac").past) == []


# Approvals, overrides, flags, policy.


def test_an_answer_reaches_the_waiting_cycle_once(world: World) -> None:
    asked = world.ask()
    for _ in range(2):
        answered = world.operator.approve(asked.id, actor=ANN, reason="fine")
        assert answered.delivered
    record: Any = world.desk.flows.journal.flows[asked.cycle_id]  # type: ignore[attr-defined]
    (mail,) = record["inbox"]
    assert mail["topic"] == f"approval:{asked.id}"
    assert mail["message"] == {"approved": True, "actor": ANN, "reason": "fine"}


def test_an_answer_holds_though_the_flow_cannot_be_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = world.ask()
    monkeypatch.setattr(world.desk.flows, "send", down)
    answered = world.operator.reject(asked.id, actor=ANN, reason="no")
    assert (answered.delivered, answered.approval.state) == (False, "rejected")


@pytest.mark.parametrize("actor", ["ann", "Ann", " ANN ", "ａｎｎ"])
def test_nobody_approves_what_they_requested(world: World, actor: str) -> None:
    asked = world.ask(by=ANN)
    with pytest.raises(PolicyDenied, match="cannot approve"):
        world.operator.approve(asked.id, actor=actor, reason="fine")
    assert world.operator.approval(asked.id).state == "pending"
    assert world.operator.reject(asked.id, actor=actor, reason="no").approval.state == "rejected"


@given(st.text(max_size=8), st.text(max_size=8))
def test_to_be_the_same_person_goes_both_ways(one: str, other: str) -> None:
    assert same_person(one, one)
    assert same_person(one, other) == same_person(other, one)


def test_a_gate_override_needs_a_known_gate_and_a_level_it_can_have(world: World) -> None:
    more: dict[str, Any] = {"reason": "x", "expires_at": world.now + DAY, "actor": ANN}
    with pytest.raises(NotFoundError, match="ndcg_at_10"):
        world.operator.override_gate("local", "nonsense", 0.7, **more)
    with pytest.raises(InputError, match="threshold"):
        world.operator.override_gate("local", "ndcg_at_10", 1.7, **more)
    assert list(world.operator.overrides("local")) == []


def test_an_override_that_needs_no_second_person_takes_none(world: World) -> None:
    granted = world.operator.override_policy(
        "local", "promote", reason="x", expires_at=world.now + DAY, actor=ANN
    )
    with pytest.raises(ConflictError, match="no second"):
        world.operator.confirm_override(granted.id, actor="ben")


def test_an_override_changes_what_policy_explains(world: World) -> None:
    explained = world.operator.policy_explain("promote", "compute-nvidia")
    assert explained.decision == "DENY"
    granted = world.operator.override_policy(
        "compute-nvidia", "promote", reason="x", expires_at=world.now + DAY, actor=ANN
    )
    assert world.operator.policy_explain("promote", "compute-nvidia") == explained
    world.operator.confirm_override(granted.id, actor="ben")
    after = world.operator.policy_explain("promote", "compute-nvidia")
    assert (after.decision, after.rule) == ("ALLOW", f"override:{granted.id}")


@pytest.mark.parametrize(("action", "role"), [("fly", "loop"), ("promote", "pilot")])
def test_policy_explains_only_what_it_knows(world: World, action: str, role: str) -> None:
    with pytest.raises(InputError, match="Known"):
        world.operator.policy_explain(action, "local", role)


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        ("unknown_flag", {}),
        ("ab_testing", {"split": 0.2}),
        ("ab_testing", {"split_ratio": 0.9}),
        ("ab_testing", {"split_ratio": float("nan")}),
        ("auto_rollback", {"threshold": "x" * 5000}),
        ("auto_rollback", {"threshold": "\0"}),
    ],
)
def test_a_flag_that_says_nothing_is_refused(
    world: World, name: str, metadata: dict[str, Any]
) -> None:
    with pytest.raises(InputError):
        world.operator.set_flag(name, "local", True, metadata, actor=ANN, reason="x")
    assert list(world.desk.flags.rows()) == []


def test_a_flag_is_set_shown_and_taken_away(world: World) -> None:
    flag = world.operator.set_flag(
        "ab_testing", "all", True, {"split_ratio": 0.2}, actor=ANN, reason="x"
    )
    assert flag == Flag("ab_testing", True, "all", {"split_ratio": 0.2})
    assert (
        list(world.operator.flags("local")) == [flag] == [world.operator.flag("ab_testing", "all")]
    )
    assert world.operator.remove_flag("ab_testing", "all", actor=ANN, reason="x")
    assert not world.operator.remove_flag("ab_testing", "all", actor=ANN, reason="x")
    with pytest.raises(NotFoundError):
        world.operator.flag("ab_testing", "all")


# Tokens.


def test_a_token_opens_and_is_kept_as_a_hash(world: World) -> None:
    issued = world.operator.issue_token(
        "eve", Role.VIEWER, ["local"], world.now + DAY, actor=ANN, key="k"
    )
    assert issued.text is not None
    assert world.desk.tokens.find(digest_of_token(issued.text)) == issued.token
    again = world.operator.issue_token(
        "eve", Role.VIEWER, ["local"], world.now + DAY, actor=ANN, key="k"
    )
    assert (again.token, again.text) == (issued.token, None)
    other = world.operator.issue_token("eve", Role.VIEWER, [], world.now + DAY, actor=ANN)
    assert other.text != issued.text
    assert issued.text not in world.desk.journal.read_text()


@pytest.mark.parametrize("lasts_s", [0.0, -1.0, 400 * DAY, float("inf"), float("nan")])
def test_a_token_ends_and_not_too_late(world: World, lasts_s: float) -> None:
    with pytest.raises(InputError, match="expires_at"):
        world.operator.issue_token("eve", Role.ADMIN, [], world.now + lasts_s, actor=ANN)
    assert expiry(world.now + 1, world.now, 1.0) == world.now + 1


# The operators' journal.


def test_every_act_is_on_record_before_and_after(world: World) -> None:
    world.operator.set_flag("ab_testing", "all", True, actor=ANN, reason="why")
    asked, done = world.journal()
    assert (asked["verb"], asked["actor"], asked["outcome"]) == ("set_flag", ANN, "asked")
    assert asked["arguments"]["reason"] == "why"
    assert (done["outcome"], done["arguments"]["request"]) == ("done", asked["hash"])
    assert verify_journal(world.desk.journal).ok


def test_what_was_refused_is_on_record_too(world: World) -> None:
    asked = world.ask(by=ANN)
    with pytest.raises(PolicyDenied):
        world.operator.approve(asked.id, actor=ANN, reason="fine")
    assert [record["outcome"] for record in world.journal()] == ["asked", "refused"]


def test_nothing_happens_that_cannot_be_recorded(world: World) -> None:
    world.desk.journal.write_bytes(b"no journal\n")
    asked = world.ask()
    attempts = (
        lambda: world.operator.approve(asked.id, actor=ANN, reason="x"),
        lambda: world.operator.request_cycle("local", actor=ANN, reason="x"),
        lambda: world.operator.set_flag("ab_testing", "all", True, actor=ANN, reason="x"),
        lambda: world.operator.issue_token("x", Role.VIEWER, [], world.now + 9, actor=ANN),
    )
    for attempt in attempts:
        with pytest.raises(PredatorError):
            attempt()
    assert world.operator.approval(asked.id) == asked
    assert len(world.desk.cycles.list()) == 1
    assert not world.desk.flags.rows()
    assert not world.desk.tokens.list()


def test_the_journal_goes_on_after_a_restart_and_with_two_writers(world: World) -> None:
    again = Operator(world.desk)
    for number in range(3):
        world.operator.stop(actor=ANN, reason=f"one {number}")
        again.stop(actor="ben", reason=f"two {number}")
    assert [record["actor"] for record in world.journal()] == [ANN, "ben"] * 3
    assert AuditJournal(world.desk.journal).verify().records == 6


def test_secrets_in_what_people_write_are_masked_on_record(world: World) -> None:
    secret = world.token()
    world.operator.stop(actor=ANN, reason=f"found {secret} and password=hunter2secret")
    written = world.desk.journal.read_text()
    assert secret not in written
    assert "hunter2secret" not in written


@pytest.mark.parametrize("actor", ["", " ", "x" * 201, "a\0b", "\ud800"])
def test_somebody_acts(world: World, actor: str) -> None:
    with pytest.raises(InputError, match="actor"):
        world.operator.stop(actor=actor)
    with pytest.raises(InputError, match="actor"):
        world.operator.request_cycle("local", actor=actor, reason="x")
    assert world.stop_row("all") is None
    assert KILL_SWITCH not in {row.name for row in world.desk.flags.rows()}

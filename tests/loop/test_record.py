"""Every action is allowed first and recorded after, whatever comes of it."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from predator.adapters.runtime.virtual import Crash
from predator.domain.canonical import sha256_hex
from predator.domain.errors import ConflictError, IntegrityError, PolicyDenied, PredatorError
from predator.journal.audit import AuditJournal, verify_journal
from predator.journal.summary import CycleSummary
from predator.loop.books import files_of
from predator.loop.record import Record
from predator.loop.ring import timestamp
from predator.loop.verify import fault_of
from predator.policy.decision import Principal
from tests.loop.small_ring import CYCLE, World

TRIGGER = {"type": "ndcg_drop", "value": 0.4, "baseline": 0.5}


@pytest.fixture
def record(world: World) -> Record:
    record = world.record(TRIGGER)
    record.begin()
    return record


def lines(world: World) -> list[dict[str, Any]]:
    path = world.folder / "artifacts" / CYCLE / "audit.jsonl"
    assert verify_journal(path).ok
    return [json.loads(line) for line in path.read_text().splitlines()]


def again(world: World) -> Record:
    """The same cycle in a new process: what its flow recorded is read back."""
    record = world.record(TRIGGER)
    record.begin()
    return record


def test_an_allowed_action_is_done_and_recorded(world: World, record: Record) -> None:
    made = record.act("train_model", "train", lambda: 7, lambda found: {"outputs": [found]})
    assert made == 7
    start, policy, action = lines(world)
    assert (start["type"], start["trigger"]["type"]) == ("start", "ndcg_drop")
    assert (policy["effect"], policy["decision"]) == ("train", "ALLOW")
    assert (policy["role"], policy["contour"]) == ("loop", "local")
    assert policy["rule"] == "loop-turns-the-ring"
    found = action["action"]
    assert (found["sequence"], found["type"], found["status"]) == (1, "train_model", "completed")
    assert found["outputs"] == [7]
    assert found["cost_usd"] >= 0
    assert world.tracking.runs[record.run_id].actions[1]["type"] == "train_model"


@pytest.mark.parametrize(
    ("principal", "effect", "context"),
    [
        (Principal("intruder"), "train", {}),
        (Principal("loop"), "drill", {}),
        (Principal("loop"), "rm -rf", {}),
        (Principal("loop"), "promote", {"evaluation": "PASS"}),
        (Principal("loop"), "promote", {"evaluation": "PASS", "experiment": "INCONCLUSIVE"}),
        (Principal("drill"), "promote", {"evaluation": "PASS", "experiment": "PASS"}),
    ],
)
def test_what_is_not_allowed_is_not_done(
    world: World, record: Record, principal: Principal, effect: str, context: dict[str, str]
) -> None:
    done: list[int] = []
    record.principal = principal
    with pytest.raises(PolicyDenied, match="policy denies"):
        record.act("deploy", effect, lambda: done.append(1), context=context)
    assert done == []
    _, policy, action = lines(world)
    assert policy["decision"] == "DENY"
    assert action["action"]["status"] == "denied"
    assert action["action"]["rule"] == policy["rule"]


def test_the_flags_are_read_before_each_action(world: World, record: Record) -> None:
    record.act("one", "train", lambda: None)
    world.engage()
    with pytest.raises(PolicyDenied, match="kill-switch"):
        record.act("two", "train", lambda: None)
    healthy = {"rollback_target_healthy": True}
    record.act("three", "rollback", lambda: None, context=healthy)
    world.engage(enabled=False)
    record.act("four", "train", lambda: None)
    assert [a["status"] for a in record.actions] == [
        "completed", "denied", "completed", "completed",
    ]  # fmt: skip


def test_flags_that_cannot_be_read_stop_everything(
    world: World, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def fail() -> Any:
        raise PredatorError("the database is down")

    monkeypatch.setattr(world.flags, "rows", fail)
    with pytest.raises(PolicyDenied, match="kill-switch"):
        record.act("train_model", "train", lambda: done.append(1))
    assert done == []


def test_an_action_that_fails_is_recorded_and_raises(world: World, record: Record) -> None:
    def fail() -> None:
        raise PredatorError("no space left")

    with pytest.raises(PredatorError, match="no space left"):
        record.act("train_model", "train", fail)
    assert record.actions[-1]["status"] == "failed"
    assert record.actions[-1]["error"] == "no space left"
    assert lines(world)[-1]["action"]["status"] == "failed"


def test_an_action_that_is_broken_off_is_done_again(world: World, record: Record) -> None:
    """Nothing came of it: nothing is recorded but the question that was asked."""

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record.act("train_model", "train", stop)
    assert [one["type"] for one in lines(world)] == ["start", "policy"]
    assert again(world).act("train_model", "train", lambda: 7) == 7
    assert [a["status"] for a in record.actions] == ["completed"]


@pytest.mark.parametrize("moment", ["after:", "recorded:"])
def test_an_action_that_is_done_is_not_done_again(world: World, moment: str) -> None:
    """A crash after its record, before or after the runtime's own."""
    record = again(world)
    done: list[int] = []

    def work() -> int:
        done.append(1)
        return len(done)

    def crash(event: str) -> None:
        if event.startswith(moment) and event.endswith("/train_model"):
            raise Crash

    world.at = crash
    record = again(world)
    with pytest.raises(Crash):
        record.act("train_model", "train", work)
    world.at = lambda _: None
    assert again(world).act("train_model", "train", work) == 1
    assert done == [1]
    assert [a["sequence"] for a in record.actions] == [1]
    assert len(world.tracking.runs[record.run_id].actions) == 1
    spent = world.limits.spent("local", world.time)
    assert spent.charged_usd == pytest.approx(record.actions[0]["cost_usd"], abs=2e-6)


def test_a_result_that_was_changed_is_refused(world: World, record: Record) -> None:
    def crash(event: str) -> None:
        if event.startswith("after:"):
            raise Crash

    world.at = crash
    record = world.record(TRIGGER)
    record.begin()
    with pytest.raises(Crash):
        record.act("train_model", "train", lambda: {"release": "good"})
    world.at = lambda _: None
    path = record.folder / "steps" / "train_model.json"
    path.write_bytes(path.read_bytes().replace(b"good", b"evil"))
    with pytest.raises(IntegrityError, match="steps/train_model"):
        again(world).act("train_model", "train", lambda: None)


def test_the_cost_of_each_action_is_charged_once(world: World, record: Record) -> None:
    for name in ("one", "two"):
        record.act(name, "train", lambda: sum(range(200_000)))
    charged = sum(a["cost_usd"] for a in record.actions)
    assert world.limits.spent("local", world.time).charged_usd == pytest.approx(charged, abs=2e-6)


def test_a_late_first_action_alerts(world: World) -> None:
    record = again(world)
    world.time += 4000
    record.act("diagnostic", "diagnose", lambda: None)
    record.act("train_model", "train", lambda: None)
    [late] = [n for n in world.notifier.sent() if "reacted late" in n.title]
    assert "the contract allows 3600 s" in late.text


def test_files_appear_whole_and_go_to_the_tracking_too(world: World, record: Record) -> None:
    path = record.write("a/b.json", {"x": [1, "Ї"]})
    assert json.loads(path.read_text()) == {"x": [1, "Ї"]}
    assert record.write("text.yaml", "a: 1\n").read_text() == "a: 1\n"
    assert record.write("data.csv", b"\xff\x00").read_bytes() == b"\xff\x00"
    assert files_of(record.folder) == ["a/b.json", "audit.jsonl", "data.csv", "text.yaml"]
    assert world.tracking.runs[record.run_id].artifacts["data.csv"] == b"\xff\x00"


def test_what_an_action_wrote_is_on_the_record_by_hash(world: World, record: Record) -> None:
    record.act("diagnostic", "diagnose", lambda: record.write("x.json", {"a": 1}).name)
    files = record.actions[0]["files"]
    assert files["x.json"] == sha256_hex((record.folder / "x.json").read_bytes())


def test_what_no_action_wrote_is_bound_by_hash_when_the_cycle_ends(
    world: World, record: Record
) -> None:
    record.step("watch.json", lambda: record.write("watch.json", {"looks": [1]}).name)
    (record.folder / "another.txt").write_text("left by a station\n")
    record.close("success", rollback_available=True)
    assert fault_of(record.folder) == ""
    for name in ("watch.json", "another.txt", "cost.json"):
        whole = (record.folder / name).read_bytes()
        (record.folder / name).write_bytes(whole + b" ")
        assert name in fault_of(record.folder)
        (record.folder / name).write_bytes(whole)
    (record.folder / "watch.json").unlink()
    assert "watch.json is gone" in fault_of(record.folder)


def test_nothing_is_written_between_the_hashes_and_the_end(world: World, record: Record) -> None:
    def dies(self: AuditJournal, summary: CycleSummary) -> str:
        raise Crash

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        patch.setattr(AuditJournal, "write_summary", dies)
        record.close("success", rollback_available=True)
    with pytest.raises(ConflictError, match="another worker"):
        record.write("late.json", {})
    again(world).close("success", rollback_available=True)
    assert fault_of(record.folder) == ""


def test_what_is_taken_back_after_the_hashes_is_bound_and_counted_too(
    world: World, record: Record
) -> None:
    def full(self: AuditJournal, summary: CycleSummary) -> str:
        raise OSError(28, "no space left")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(PredatorError, match="no space"):
        patch.setattr(AuditJournal, "write_summary", full)
        record.close("success", rollback_available=True)
    record.act("taken_back", "end_experiment", lambda: sum(range(300_000)))
    record.close("error", rollback_available=True)
    assert [r["key"] for r in record.journal.read() if r["type"] == "files"] == [
        "files:0", "files:1",
    ]  # fmt: skip
    summary = record.journal.summary or {}
    told = json.loads((record.folder / "cost.json").read_text())["total_cost_usd"]
    assert told == summary["total_cost_usd"]
    assert fault_of(record.folder) == ""


def test_half_a_file_never_takes_the_place_of_a_whole_one(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record.write("evaluation.json", {"verdict": "PASS"})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        record.write("evaluation.json", {"verdict": "FAIL"})
    assert json.loads(path.read_text()) == {"verdict": "PASS"}


def test_closing_ends_journal_and_run_and_anchors_it_in_git(world: World, record: Record) -> None:
    record.act("train_model", "train", lambda: None)
    record.close("success", rollback_available=True)
    summary = lines(world)[-1]["summary"]
    assert summary["cycle_id"] == CYCLE
    assert summary["trigger"] == TRIGGER
    assert summary["environment"] == "local" and summary["approver"] == "system"
    assert summary["timestamp"] == timestamp(world.time)
    assert len(summary["actions"]) == 1
    assert summary["total_cost_usd"] >= 0
    run = world.tracking.runs[record.run_id]
    assert run.summary.status == "FINISHED"
    assert run.params["trigger_type"] == "ndcg_drop"
    assert json.loads((record.folder / "cost.json").read_text())["total_cost_usd"] >= 0
    assert world.gitops.log()[0].trailers["Audit"] == lines(world)[-1]["hash"]
    entry = world.cycles.get(CYCLE)
    assert entry is not None and entry.outcome == "success"


def test_a_closed_record_takes_no_more_actions(record: Record) -> None:
    record.close("success", rollback_available=True)
    done: list[int] = []
    with pytest.raises(ConflictError):
        record.act("train_model", "train", lambda: done.append(1))
    assert done == []


def test_times_are_utc_to_the_second() -> None:
    assert timestamp(1_765_070_625.9) == "2025-12-07T01:23:45Z"

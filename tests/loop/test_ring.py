"""Every action is allowed first and recorded after, whatever comes of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

from predator.domain.errors import PolicyDenied
from predator.journal.audit import verify_journal
from predator.loop.ring import Record, files_of, timestamp
from predator.policy.decision import Principal
from tests.loop.small_ring import CYCLE, World


@pytest.fixture
def record(world: World) -> Record:
    return Record(world.ring(), CYCLE, {"type": "ndcg_drop", "value": 0.4, "baseline": 0.5})


def lines(world: World) -> list[dict[str, Any]]:
    path = world.folder / "artifacts" / CYCLE / "audit.jsonl"
    assert verify_journal(path).ok
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_allowed_action_is_done_and_recorded(world: World, record: Record) -> None:
    made = record.act("train_model", "train", lambda: 7, lambda found: {"outputs": [found]})
    assert made == 7
    start, policy, action = lines(world)
    assert (start["type"], start["trigger"]["type"]) == ("start", "ndcg_drop")
    assert (policy["effect"], policy["decision"]) == ("train", "ALLOW")
    assert policy["rule"] == "loop-turns-the-ring"
    assert action["action"] == {
        "sequence": 1,
        "type": "train_model",
        "status": "completed",
        "duration_sec": action["action"]["duration_sec"],
        "outputs": [7],
    }
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
    with pytest.raises(PolicyDenied, match="policy says DENY"):
        record.act("deploy", effect, lambda: done.append(1), context=context)
    assert done == []
    _, policy, action = lines(world)
    assert policy["decision"] == "DENY"
    assert action["action"]["status"] == "denied"
    assert action["action"]["rule"] == policy["rule"]


def test_the_flags_are_read_before_each_action(world: World, record: Record) -> None:
    record.act("train_model", "train", lambda: None)
    world.flags["kill_switch"] = True
    with pytest.raises(PolicyDenied, match="kill-switch"):
        record.act("train_model", "train", lambda: None)
    record.act("rollback", "rollback", lambda: None)
    world.flags["kill_switch"] = False
    record.act("train_model", "train", lambda: None)
    assert [a["status"] for a in record.actions] == [
        "completed", "denied", "completed", "completed",
    ]  # fmt: skip


def test_flags_that_cannot_be_read_stop_everything(
    world: World, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    world.flags.clear()
    with pytest.raises(PolicyDenied):
        record.act("train_model", "train", lambda: done.append(1))
    assert done == []


@pytest.mark.parametrize("error", [ValueError("no space left"), KeyboardInterrupt("now")])
def test_an_action_that_fails_is_recorded_and_raises(
    world: World, record: Record, error: BaseException
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(error)):
        record.act("train_model", "train", fail)
    assert record.actions[-1]["status"] == "failed"
    assert record.actions[-1]["error"] == str(error)
    assert lines(world)[-1]["action"]["status"] == "failed"


def test_files_appear_whole_and_go_to_the_tracking_too(world: World, record: Record) -> None:
    path = record.write("a/b.json", {"x": [1, "Ї"]})
    assert json.loads(path.read_text()) == {"x": [1, "Ї"]}
    assert record.write("text.yaml", "a: 1\n").read_text() == "a: 1\n"
    assert record.write("data.csv", b"\xff\x00").read_bytes() == b"\xff\x00"
    assert files_of(record.folder) == ["a/b.json", "audit.jsonl", "data.csv", "text.yaml"]
    assert world.tracking.runs[record.run_id].artifacts["data.csv"] == b"\xff\x00"


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


def test_closing_ends_journal_and_run(world: World, record: Record) -> None:
    record.act("train_model", "train", lambda: None)
    record.close("success", rollback_available=True)
    summary = lines(world)[-1]["summary"]
    assert summary["cycle_id"] == CYCLE
    assert summary["trigger"] == {"type": "ndcg_drop", "value": 0.4, "baseline": 0.5}
    assert summary["environment"] == "local" and summary["approver"] == "system"
    assert summary["timestamp"] == timestamp(world.time)
    assert len(summary["actions"]) == 1
    assert summary["total_cost_usd"] >= 0
    run = world.tracking.runs[record.run_id]
    assert run.summary.status == "FINISHED"
    assert run.params["trigger_type"] == "ndcg_drop"
    cost = json.loads((record.folder / "cost.json").read_text())
    assert cost["cpu_s"] >= 0 and cost["total_cost_usd"] >= 0


def test_a_closed_record_takes_no_more_actions(record: Record) -> None:
    from predator.domain.errors import ConflictError

    record.close("success", rollback_available=True)
    done: list[int] = []
    with pytest.raises(ConflictError):
        record.act("train_model", "train", lambda: done.append(1))
    assert done == []


def test_abandoning_never_raises(
    world: World, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(record.journal, "write_summary", fail)
    record.abandon("error")
    assert verify_journal(record.folder / "audit.jsonl").ok


def test_a_process_that_died_leaves_a_record_that_can_be_read(
    world_with: Callable[..., World],
) -> None:
    world = world_with()
    record = Record(world.ring(), CYCLE, {"type": "scheduled", "value": None})
    record.act("train_model", "train", lambda: None)
    assert [one["type"] for one in lines(world)] == ["start", "policy", "action"]


def test_times_are_utc_to_the_second() -> None:
    assert timestamp(1_765_070_625.9) == "2025-12-07T01:23:45Z"

"""What follows a cycle's actions, and its end: costs, MLflow, hashes, the summary, the anchor."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from predator.domain.canonical import sha256_hex
from predator.domain.errors import PredatorError
from predator.domain.governance import Notice
from predator.journal.files import outputs, promised, write_whole
from predator.journal.summary import CycleSummary
from predator.loop import anchor, contract
from predator.loop.ring import timestamp
from predator.ports.runtime import Json

if TYPE_CHECKING:
    from predator.loop.record import Record

BOUND = "files"
"""The record that names, by hash, every file which no action or decision has named: from then on
no station writes one."""


def try_to_follow_up(record: Record, name: str, action: Mapping[str, Any]) -> None:
    """What cannot be booked now is made up for when the cycle ends (:func:`close`); an
    effect that is there and on record has not failed."""
    try:
        _follow_up(record, name, action)
    except PredatorError as error:
        record.ring.progress.note(f"{name} of {record.cycle_id} is not booked yet: {error}")


def _follow_up(record: Record, name: str, action: Mapping[str, Any]) -> None:
    """What follows an action's record: its cost, MLflow, and how soon the loop reacted."""
    governance, contour = record.ring.governance, record.options.contour
    governance.limits.charge(
        contour, f"{record.cycle_id}/{name}/{action['sequence']}", record.cycle_id,
        record.ring.clock.now(), action["cost_usd"],
    )  # fmt: skip
    record.ring.tracking.action(record.run_id, action["sequence"], action)
    record.followed.add(action["sequence"])
    if action["status"] == "completed" and name not in ("open",):
        _reacted(record)


def _follow_all(record: Record) -> None:
    """What a crash or a full disk left undone after a record, for every action of the cycle."""
    for line in record.journal.read():
        if line.get("type") == "action":
            action, key = line["action"], str(line["key"])
            if action["sequence"] not in record.followed:
                parts = 1 if action["status"] == "completed" else 2
                _follow_up(record, key.rsplit(":", parts)[0], action)


def _reacted(record: Record) -> None:
    """Signal to first action, against the contract's limit; a breach alerts, once."""
    governance = record.ring.governance
    entry = governance.cycles.get(record.cycle_id)
    if entry is None or "first_action" in entry.moments:
        return
    record.mark("first_action")
    took = record.ring.clock.now() - entry.requested_at
    row = next((r for r in contract.CONTRACT if r.trigger == record.trigger.get("type")), None)
    if row is not None and took > row.react_within_s:
        governance.notifier.notify(
            Notice(
                f"{record.cycle_id}:reaction",
                "warning",
                f"The loop reacted late to {row.trigger}",
                f"{took:.0f} s from the signal to the first action; the contract allows "
                f"{row.react_within_s:.0f} s",
                record.options.contour,
                record.cycle_id,
            )
        )


def close(record: Record, outcome: str, rollback_available: bool, approver: str) -> Json:
    """Bind what is left, sum up, anchor, and give back what others wait for; cost and outcome."""
    actions = record.actions
    cost = round(sum(action["cost_usd"] for action in actions), 9)
    if record.journal.summary is None:
        _bind(record, len(actions), cost)
        people = [r["actor"] for r in record.journal.read() if r.get("type") == "approved"]
        record.journal.write_summary(
            CycleSummary(
                record.cycle_id,
                timestamp(record.started),
                record.options.contour,
                dict(record.trigger),
                actions,
                people[-1] if people else approver,
                cost,
                outcome,
                rollback_available,
            )
        )
    anchor.anchor(
        record.ring.desired.gitops, record.options.contour, record.cycle_id, record.journal
    )
    outcome = str((record.journal.summary or {}).get("outcome", outcome))
    free(record, outcome)
    return {"cost_usd": cost, "outcome": outcome}


def _bind(record: Record, actions: int, cost: float) -> None:
    """What the cycle cost, and the hash of every file that no record has named yet, cost included.

    Where the summary could not be written after it and something was taken back meanwhile, there
    is a further one.
    """
    name, data = "cost.json", as_bytes({"total_cost_usd": cost})

    def made(_number: int) -> dict[str, Any]:
        write_whole(record.folder / name, data)
        return {"type": BOUND, "files": {**_unbound(record), name: sha256_hex(data)}}

    record.journal.append_made(f"{BOUND}:{actions}", made)


def _unbound(record: Record) -> dict[str, str]:
    known = {"audit.jsonl", *promised(record.journal.read())}
    names = [name for name in files_of(record.folder)
             if name not in known and not name.endswith(".partial")]  # fmt: skip
    return {one["file"]: one["sha256"] for one in outputs(record.folder, names)}


def book(record: Record, cost: float, outcome: str) -> bool:
    """The end in MLflow, and what no action could book. The cycle is over whatever comes."""
    try:
        _follow_all(record)
        record.ring.tracking.metrics(record.run_id, {"total_cost_usd": cost})
        record.ring.tracking.artifact(record.run_id, record.folder / "cost.json")
        record.ring.tracking.artifact(record.run_id, record.folder / "audit.jsonl")
        record.ring.tracking.finish(record.run_id, outcome)
    except PredatorError as error:
        record.ring.progress.note(f"{record.cycle_id} is not booked whole: {error}")
        return False
    return True


def free(record: Record, outcome: str) -> None:
    """Give back what others wait for, and end the entry in the register."""
    governance = record.ring.governance
    governance.limits.settle(record.cycle_id)
    record.leave(record.target)
    record.leave(record.trainings)
    governance.cycles.finish(record.cycle_id, outcome, record.ring.clock.now())


def as_bytes(value: Any) -> bytes:
    """A file's content: bytes and text as they are, anything else as JSON for people."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    return (json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def files_of(folder: Path) -> Sequence[str]:
    """The files of a cycle's folder, relative to it."""
    paths = (p for p in folder.rglob("*") if p.is_file() and not p.is_symlink())
    return sorted(str(p.relative_to(folder)) for p in paths)

"""What must be true of a contour after a cycle, whatever was done to its workers meanwhile."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from predator.adapters.database.tables import (
    charges,
    counted_cycles,
    cycles,
    experiment_slots,
    notices,
    reservations,
)
from predator.adapters.runtime.dbos_client import DbosFlows
from predator.loop.anchor import Anchors
from predator.loop.release.bundle import verify_bundle
from predator.loop.replay import replay
from predator.loop.verify import verify_cycle
from predator.ports.runtime import FlowStatus
from predator.search.desired import LiveRelease
from tests.crash.contour import Contour

PROMOTED = ["start-experiment", "promote", "end-watch", "anchor"]
"""The commits of a cycle whose release is kept, in order."""
TAKEN_BACK = ["start-experiment", "promote", "rollback", "rollback-end-watch", "anchor"]


@dataclass(frozen=True)
class Left:
    """Everything that a contour keeps for good, to be compared."""

    commits: list[tuple[str, str, str]]
    tags: dict[str, str]
    files: dict[str, str]
    rows: dict[str, list[tuple[Any, ...]]]
    tracked: dict[str, list[tuple[Any, ...]]]
    told: list[dict[str, Any]]


def left(contour: Contour) -> Left:
    return Left(
        commits(contour),
        tags(contour),
        {
            str(file.relative_to(contour.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for part in ("artifacts", "objects", "jobs", "mlflow-artifacts")
            for file in sorted((contour.folder / part).rglob("*"))
            if file.is_file()
        },
        rows(contour),
        tracked(contour),
        contour.told(),
    )


def commits(contour: Contour, cycle_id: str = "") -> list[tuple[str, str, str]]:
    """Revision, cycle and step of each commit, oldest first."""
    git = contour.git()
    found = [
        (one.revision, one.trailers.get("Cycle", ""), one.trailers.get("Step", ""))
        for one in reversed(git.log(10_000))
    ]
    git.close()
    return [one for one in found if cycle_id in ("", one[1])]


def tags(contour: Contour) -> dict[str, str]:
    refs = _git(contour, "for-each-ref", "--format=%(refname:short) %(*objectname)", "refs/tags")
    return dict(line.split(" ") for line in refs.splitlines())


def rows(contour: Contour) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tables that hold effects."""
    tables = (charges, counted_cycles, cycles, experiment_slots, notices, reservations)
    with contour.database() as database, database.reading() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=str)
            for table in tables
        }


def tracked(contour: Contour) -> dict[str, list[tuple[Any, ...]]]:
    """What MLflow knows, read behind its back."""
    asked = {
        "runs": "SELECT run_uuid, name, status FROM runs",
        "tags": "SELECT run_uuid, key, value FROM tags",
        "models": "SELECT name, version, run_id, source FROM model_versions",
        "model_tags": "SELECT name, version, key, value FROM model_version_tags",
        "aliases": "SELECT alias, version, name FROM registered_model_aliases",
    }
    with closing(sqlite3.connect(contour.folder / "mlflow.db")) as database:
        return {name: sorted(database.execute(query)) for name, query in asked.items()}


def status(contour: Contour, flow_id: str) -> FlowStatus:
    flows = DbosFlows(contour.flows_url)
    try:
        found = flows.status(flow_id)
        assert found is not None
        return found
    finally:
        flows.close()


def check_repository(contour: Contour) -> None:
    """Each (cycle, step) once, sound objects, and what is live is whole."""
    steps = Counter(commit[1:] for commit in commits(contour))
    assert set(steps.values()) == {1}, steps
    _git(contour, "fsck", "--strict", "--no-dangling")
    live = contour.desired().read().release
    assert verify_bundle(contour.objects(), live.digest) == []


def check_cycle(contour: Contour, cycle_id: str, steps: list[str], outcome: str) -> None:
    """It ended as ``outcome`` with these commits; each effect of it is there once, and on record.

    What was struck leaves no trace but attempts that did not come to their end.
    """
    check_repository(contour)
    found = [step for _, _, step in commits(contour, cycle_id)]
    assert found == steps, status(contour, cycle_id)
    actions = check_audit(contour, cycle_id, outcome)
    check_rows(contour, cycle_id, actions, outcome)
    check_tracking(contour, cycle_id, actions, outcome)


def check_audit(contour: Contour, cycle_id: str, outcome: str) -> list[dict[str, Any]]:
    """The journal is whole, anchored, and derives again; its actions are numbered from 1."""
    folder = contour.artifacts / cycle_id
    found = verify_cycle(folder, [Anchors(contour.git())])
    assert found.ok, found.fault
    assert found.state == "closed" and found.anchored
    replayed = replay(folder)
    assert replayed.ok, replayed
    records = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    actions = [record["action"] for record in records if record.get("type") == "action"]
    assert [action["sequence"] for action in actions] == list(range(1, len(actions) + 1))
    completed = Counter(action["type"] for action in actions if action["status"] == "completed")
    assert set(completed.values()) == {1}, completed
    summary = records[-1]["summary"]
    assert summary["outcome"] == outcome
    assert [action["sequence"] for action in summary["actions"]] == [
        action["sequence"] for action in actions
    ]
    return actions


def check_rows(
    contour: Contour, cycle_id: str, actions: list[dict[str, Any]], outcome: str
) -> None:
    """One charge an action, one row a notice, and nothing of the cycle's is still held."""
    kept = rows(contour)
    mine = [row for row in kept["charges"] if row[2] == cycle_id]
    numbers = [int(row[1].rpartition("/")[2]) for row in mine]
    assert sorted(numbers) == [action["sequence"] for action in actions]
    micros = {action["sequence"]: round(action["cost_usd"] * 1e6) for action in actions}
    assert all(
        abs(row[-1] - micros[number]) <= 1 for row, number in zip(mine, numbers, strict=True)
    )
    assert kept["reservations"] == [] and kept["experiment_slots"] == []
    assert [row[7] for row in kept["cycles"] if row[0] == cycle_id] == [outcome]
    assert [row[1] for row in kept["counted_cycles"]].count(cycle_id) <= 1
    told = Counter(line["key"] for line in contour.told() if line["kind"] == "notice")
    assert {row[1] for row in kept["notices"]} >= set(told)
    assert set(told.values()) <= {1}, told


def check_tracking(
    contour: Contour, cycle_id: str, actions: list[dict[str, Any]], outcome: str
) -> None:
    """One run, with every action; one version of the model at most."""
    kept = tracked(contour)
    [(run, _, state)] = [row for row in kept["runs"] if row[1] == cycle_id]
    assert (state, outcome) in {
        ("FINISHED", "success"), ("FAILED", "rolled_back"), ("FAILED", "error"),
    }  # fmt: skip
    mine = {key: value for owner, key, value in kept["tags"] if owner == run}
    named = {key for key in mine if key.startswith("action.")}
    assert named == {f"action.{a['sequence']:03d}.{a['type']}" for a in actions}
    registered = any(action["type"] == "register_model" for action in actions)
    assert len([row for row in kept["models"] if row[2] == run]) == int(registered)
    trail = contour.folder / "mlflow-artifacts" / run / "artifacts" / "actions.jsonl"
    lines = [json.loads(line) for line in trail.read_text().splitlines()]
    assert [line["sequence"] for line in lines] == [action["sequence"] for action in actions]


def check_job(contour: Contour, cycle_id: str, *, ran: int | None = 1) -> None:
    """One training job, which came to one outcome and, where given, ran so often."""
    jobs = [path.name for path in (contour.folder / "jobs").iterdir() if path.is_dir()]
    assert jobs.count(f"train-{cycle_id}") == 1
    if ran is not None:
        lines = (contour.folder / "jobs" / "runs").read_text().splitlines()
        assert lines.count(f"train-{cycle_id} 0") == ran


def check_kept(contour: Contour, cycle_id: str) -> None:
    """The cycle's release is live for everybody, and has its version, once, as stable and gold."""
    wanted = contour.desired().read()
    assert wanted.release.cycle == cycle_id
    assert (wanted.experiment, wanted.holdback) == (None, None)
    [promoted] = [
        sha for sha, cycle, step in commits(contour) if (cycle, step) == (cycle_id, "promote")
    ]
    mine = [name for name, sha in tags(contour).items() if sha == promoted]
    number = wanted.release.version.removeprefix("v").partition(".")[0]
    kinds = sorted(name.removeprefix("predator-release").rstrip("0123456789") for name in mine)
    assert kinds == ["#gold#", "#stable#", "@v" + f"{number}.0."], mine
    assert status(contour, cycle_id).result["release_after"]["version"] == wanted.release.version


def check_ended(contour: Contour, cycle_id: str, before: LiveRelease) -> str:
    """It came to its end with everything right, or to an error that left users where they were."""
    found = status(contour, cycle_id)
    assert found.state in {"done", "failed"}, found.state
    check_repository(contour)
    if found.state == "done":
        check_cycle(contour, cycle_id, PROMOTED, "success")
        check_kept(contour, cycle_id)
        return "done"
    assert found.error
    wanted = contour.desired().read()
    assert (wanted.experiment, wanted.holdback) == (None, None)
    if wanted.release != before:
        assert wanted.release.cycle == cycle_id
        assert contour.releases().get(wanted.release.version).stable_at is not None
    kept = rows(contour)
    assert kept["experiment_slots"] == [] and kept["reservations"] == []
    [outcome] = [row[7] for row in kept["cycles"] if row[0] == cycle_id]
    assert outcome in {"error", "success"}
    record = verify_cycle(contour.artifacts / cycle_id, [Anchors(contour.git())])
    assert record.ok, record.fault
    if record.state != "closed":
        assert any(row[2] == "critical" for row in kept["notices"] if row[6] == cycle_id)
    return "failed"


def check_users_are_back(contour: Contour, version: str) -> None:
    """Nobody gets anything of an unfinished cycle."""
    wanted = contour.desired().read()
    assert wanted.release.version == version
    assert (wanted.experiment, wanted.holdback) == (None, None)


def _git(contour: Contour, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=contour.repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

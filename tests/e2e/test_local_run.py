"""What a user gets from whole runs: a turned ring with all that it leaves, or a clean way out."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.loop.desired_state import DesiredState
from tests.e2e.tiny_collection import write_tiny_collection
from tests.search.encoder.tiny import tiny_folder

SHORT = {
    "port": 0, "model": "model", "max_tokens": 32, "users": 400, "rate_per_s": 80,
    "window_s": 1, "windows_max": 1, "arrival_s": 1, "generated_queries": 60,
    "experiment_share": 0.3, "experiment_min_s": 8, "experiment_max_s": 15,
    "watch_looks": 1, "watch_look_s": 4.5, "holdback_share": 0.2,
}  # fmt: skip
"""One look: from the second on, the watch minds latency, and test machines have other guests."""
GRACE_S = 30


@dataclass(frozen=True)
class Place:
    """A folder to run in; its processes carry a mark, so that none of them can hide."""

    folder: Path
    mark: str

    def start(self, *arguments: str, **settings: object) -> subprocess.Popen[str]:
        pairs = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
        return subprocess.Popen(
            [sys.executable, "-m", "predator", *arguments, *pairs],
            cwd=self.folder,
            env={**os.environ, "E2E_MARK": self.mark},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, **settings: object) -> str:
        """The output of a command that succeeds."""
        process = self.start(*arguments, **settings)
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-3000:]
        return output

    def alive(self) -> list[str]:
        """The command lines of everything that still runs for this place."""
        found = []
        for process in Path("/proc").iterdir():
            try:
                if f"E2E_MARK={self.mark}".encode() in (process / "environ").read_bytes():
                    found.append((process / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found

    def runs(self) -> list[Path]:
        return sorted((self.folder / ".predator" / "runs").glob("*"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("a place with spaces")
    write_tiny_collection(folder / "data")
    tiny_folder(folder / "model")
    return Place(folder, uuid.uuid4().hex)


def interrupt(place: Place, *, after: str = "", plus_s: float = 0.0) -> None:
    """Press ctrl-C in a run, ``plus_s`` after it said ``after``; then look at what is left."""
    process = place.start("run", "--data", "data", **SHORT)
    assert process.stderr is not None
    said = ""
    while after not in said or not said:
        line = process.stderr.readline()
        assert line, f"it ended before it said {after!r}: {said[-2000:]}"
        said += line
    time.sleep(plus_s)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=GRACE_S)
    said += errors
    assert process.returncode == 130, said[-2000:]
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith("interrupted; ")
    deadline = time.monotonic() + 5
    while place.alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert place.alive() == []
    for run in place.runs():
        if (run / "gitops.git").exists() and (run / "platform.json").exists():
            wanted = DesiredState(BareGit(run / "gitops.git"), "local").read()
            assert (wanted.experiment, wanted.holdback) == (None, None)
    for journal in (place.folder / "artifacts").glob("si_*/audit.jsonl"):
        last = json.loads(journal.read_text().splitlines()[-1])
        assert last["summary"]["outcome"] in {"interrupted", "success"}


class TestCtrlC:
    """These come first: the run below must find nothing in its way."""

    def test_at_some_moment_of_the_start(self, place: Place) -> None:
        interrupt(place, plus_s=random.uniform(0, 3))  # noqa: S311 - any moment will do

    def test_while_users_search(self, place: Place) -> None:
        interrupt(place, after="taking the baseline")

    @pytest.mark.nightly
    @pytest.mark.parametrize(
        "after",
        ["encoder", "platform", "shift", "cycle", "diagnose", "augment", "train", "evaluate",
         "experiment", "promote", "watch", "drill", "ROLL_BACK"],
    )  # fmt: skip
    @pytest.mark.parametrize("again", range(2))
    def test_anywhere(self, place: Place, after: str, again: int) -> None:
        interrupt(place, after=after, plus_s=random.uniform(0, 2))  # noqa: S311


@pytest.fixture(scope="module")
def result(place: Place) -> Iterator[dict[str, Any]]:
    place.run("run", "--data", "data", "--json", "out.json", **SHORT)
    yield json.loads((place.folder / "out.json").read_text())


class TestRun:
    def test_the_json_holds_what_it_promises(self, result: dict[str, Any]) -> None:
        assert result["verdict"] == "PASS"
        assert result["promoted"] is True
        assert result["release"]["before"]["version"] == "v1.0"
        assert result["release"]["after"]["version"] == "v2.0"
        assert result["ndcg_at_10"]["candidate"] > result["ndcg_at_10"]["baseline"]
        delta = result["delta"]
        assert 0 < delta["ci_low"] < delta["rel"] < delta["ci_high"]
        assert result["experiment"]["plan"]["looks"] == 1
        assert result["experiment"]["result"]["users"]["candidate"] > 10
        assert result["failed_requests"] == 0
        assert result["requests"] > 1000
        assert result["duration_s"] > 0
        assert result["cycle_id"].startswith("si_")
        assert [one["cycle_id"] for one in result["cycles"]] == [result["cycle_id"]]

    def test_nothing_is_left_running(self, place: Place, result: dict[str, Any]) -> None:
        assert place.alive() == []

    def test_the_drill_is_caught_and_undone(self, result: dict[str, Any]) -> None:
        drill = result["drill"]
        assert drill["caught"]
        assert drill["restored_s"] < 5
        assert drill["reverts"] == 1

    def test_git_holds_the_commits_of_the_story(self, result: dict[str, Any]) -> None:
        repository = result["gitops"]["repository"]
        log = subprocess.run(
            [
                "git",
                "-C",
                repository,
                "log",
                "--reverse",
                "--format=%(trailers:key=Step,valueonly)",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert log == [
            "release", "start-experiment", "promote", "end-watch",
            "drill", "rollback", "rollback-end-watch",
        ]  # fmt: skip
        values = subprocess.run(
            ["git", "-C", repository, "show", "HEAD:environments/local/values.yaml"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert result["release"]["after"]["digest"] in values

    def test_every_artifact_of_the_cycle_is_there(self, result: dict[str, Any]) -> None:
        folder = Path(result["artifacts"])
        for name in (
            "diagnostic_report.json", "dataset_manifest.yaml", "augmented_dataset.csv",
            "dvc.lock", "model_registry_ref", "evaluation.json", "ab_test_results.json",
            "helm_values_patch.yaml", "audit.jsonl", "cost.json",
        ):  # fmt: skip
            assert (folder / name).stat().st_size > 0, name
        (run,) = folder.glob("mlflow_run_*")
        assert list((run / "model").iterdir())
        assert list((run / "metrics").iterdir())

    def test_the_cycle_reads_back_with_an_intact_audit(
        self, place: Place, result: dict[str, Any]
    ) -> None:
        listed = json.loads(place.run("cycle", "list", "--json"))
        [row] = [row for row in listed if row["cycle_id"] == result["cycle_id"]]
        assert (row["evaluation"], row["experiment"], row["outcome"]) == ("PASS", "PASS", "success")
        assert listed[0]["trigger"] == "drill"
        shown = json.loads(place.run("cycle", "show", result["cycle_id"], "--json"))
        assert shown["audit"]["ok"] and shown["audit"]["records"] > 20
        assert [a["type"] for a in shown["actions"]] == [
            "diagnostic", "augment_data", "train_model", "evaluate", "register_model",
            "start_experiment", "ab_test", "deploy", "end_watch",
        ]  # fmt: skip
        assert "audit.jsonl" in shown["files"]

    def test_a_changed_audit_is_noticed(
        self, place: Place, result: dict[str, Any], tmp_path: Path
    ) -> None:
        journal = Path(result["artifacts"]) / "audit.jsonl"
        whole = journal.read_bytes()
        journal.write_bytes(whole.replace(b'"PASS"', b'"FAIL"', 1))
        try:
            shown = json.loads(place.run("cycle", "show", result["cycle_id"], "--json"))
        finally:
            journal.write_bytes(whole)
        assert not shown["audit"]["ok"]

    def test_mlflow_holds_the_run_under_the_cycle_id(
        self, place: Place, result: dict[str, Any]
    ) -> None:
        database = sqlite3.connect(place.folder / ".predator" / "mlflow.db")
        tagged = database.execute(
            "SELECT r.status FROM tags t JOIN runs r USING (run_uuid) "
            "WHERE t.key = 'si_cycle_id' AND t.value = ?",
            (result["cycle_id"],),
        ).fetchall()
        database.close()
        assert tagged == [("FINISHED",)]

    def test_a_clone_restores_the_dataset_by_dvc_pull(
        self, place: Place, result: dict[str, Any], tmp_path: Path
    ) -> None:
        clone = tmp_path / "clone"
        lineage = place.folder / ".predator" / "lineage"
        subprocess.run(["git", "clone", "-q", str(lineage), str(clone)], check=True)
        environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
        pull = [sys.executable, "-m", "dvc", "pull", "-q"]
        subprocess.run(pull, cwd=clone, env=environment, check=True)
        name = f"datasets/{result['cycle_id']}/augmented_dataset.csv"
        kept = Path(result["artifacts"]) / "augmented_dataset.csv"
        assert (clone / name).read_bytes() == kept.read_bytes()

    def test_the_platform_serves_the_promoted_release_again(
        self, place: Place, result: dict[str, Any]
    ) -> None:
        server = place.start("serve", "--with-parent", port=0, model="model", max_tokens=32)
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        answer = json.loads(place.run("search", "whale coral", "--url", url, "--json"))
        server.communicate(timeout=GRACE_S)
        assert answer["release"] == result["release"]["after"]["digest"]
        assert answer["hits"]
        assert place.alive() == []

    def test_another_encoder_is_refused(self, place: Place, result: dict[str, Any]) -> None:
        process = place.start("serve", port=0, model="model", max_tokens=16)
        _, errors = process.communicate(timeout=GRACE_S)
        assert process.returncode == 2
        assert errors.startswith("error: the platform was founded with another encoder")

    @pytest.mark.nightly
    def test_a_second_cycle_begins_where_the_first_one_ended(self, place: Place) -> None:
        place.run("run", "--data", "data", "--cycles", "2", "--json", "two.json", **SHORT)
        first, second = json.loads((place.folder / "two.json").read_text())["cycles"]
        assert second["release"]["before"] == first["release"]["after"]
        assert second["cycle_id"] > first["cycle_id"]

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

from predator.journal.audit import verify_journal
from tests.e2e.tiny_collection import write_tiny_collection
from tests.search.encoder.tiny import tiny_folder

SHORT = {
    "port": 0, "model": "model", "max_tokens": 32, "users": 400, "rate_per_s": 80,
    "window_s": 1, "windows_max": 1, "arrival_s": 1, "generated_queries": 60,
    "experiment_share": 0.3, "experiment_min_s": 8, "experiment_max_s": 15,
    "watch_looks": 1, "watch_look_s": 4.5, "watch_extend_max": 4, "watch_drop_rel": 0.95,
    "watch_latency_floor_ms": 1e6, "holdback_share": 0.2, "holdback_share_max": 0.4,
}  # fmt: skip
"""One look, or more where a busy machine brings few searches; it does not mind latency."""
GRACE_S = 30
AS_A_SHELL_SEES_CTRL_C = (130, -signal.SIGINT)
"""Python ends by the signal itself where it came into code that an extension runs."""


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


def stop(place: Place, number: int, *, after: str = "", plus_s: float = 0.0) -> None:
    """End a run by a signal, ``plus_s`` after it said ``after``; then look at what is left."""
    process = place.start("run", "--data", "data", **SHORT)
    assert process.stderr is not None
    said = ""
    while after not in said or not said:
        line = process.stderr.readline()
        assert line, f"it ended before it said {after!r}: {said[-2000:]}"
        said += line
    time.sleep(plus_s)
    process.send_signal(number)
    _, errors = process.communicate(timeout=GRACE_S)
    said += errors
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode in AS_A_SHELL_SEES_CTRL_C, said[-2000:]
        assert said.splitlines()[-1].startswith("interrupted; ")
    assert "Traceback" not in said
    deadline = time.monotonic() + 15
    while place.alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert place.alive() == []
    for journal in (place.folder / "artifacts").glob("si_*/audit.jsonl"):
        assert verify_journal(journal).ok


STATIONS = ("cycle", "diagnose", "augment", "train", "evaluate", "experiment", "promote", "watch",
            "drill", "rollback")  # fmt: skip


class TestStopped:
    """These come first: what they leave, the run below goes on with."""

    def test_at_some_moment_of_the_start(self, place: Place) -> None:
        stop(place, signal.SIGINT, plus_s=random.uniform(0, 3))  # noqa: S311 - any moment will do

    def test_while_the_ring_turns(self, place: Place) -> None:
        station = random.choice(STATIONS[:6])  # noqa: S311
        stop(place, signal.SIGINT, after=station, plus_s=random.uniform(0, 1))  # noqa: S311

    @pytest.mark.nightly
    @pytest.mark.parametrize("station", STATIONS)
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
    def test_anywhere_it_goes_on(
        self, place: Place, station: str, number: int, tmp_path: Path
    ) -> None:
        elsewhere = Place(tmp_path, place.mark)
        for name in ("data", "model"):
            (tmp_path / name).symlink_to(place.folder / name)
        stop(elsewhere, number, after=station, plus_s=random.uniform(0, 2))  # noqa: S311
        elsewhere.run("run", "--data", "data", "--json", "out.json", **SHORT)
        result = json.loads((tmp_path / "out.json").read_text())
        assert result["resumed"] and result["verdict"] == "PASS"
        assert len(set(result["gitops"]["commits"])) == len(result["gitops"]["commits"])
        listed = json.loads(elsewhere.run("cycle", "list", "--json"))
        assert {one["outcome"] for one in listed} == {"success"}


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
        assert result["experiment"]["result"]["looks"][-1]["evidence"] >= 20
        assert result["experiment"]["result"]["users"]["candidate"] > 10
        assert result["failed_requests"] == 0
        assert result["requests"] > 1000
        assert result["duration_s"] > 0
        assert result["cycle_id"].startswith("si_")
        assert [one["cycle_id"] for one in result["cycles"]] == [result["cycle_id"]]
        assert result["resumed"], "it went on with the run that was stopped"
        assert 0 <= result["times"]["reaction_s"] < result["times"]["total_s"]

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
            "release", "start-experiment", "promote", "end-watch", "anchor",
            "drill", "rollback", "rollback-end-watch", "anchor",
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
            "open", "diagnostic", "augment_data", "train_model", "evaluate", "register_model",
            "start_experiment", "ab_test", "permit_promote", "deploy", "keep_version",
            "keep_gold", "end_watch",
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


@pytest.fixture(scope="module")
def url(place: Place, result: dict[str, Any]) -> Iterator[str]:
    server = place.start("serve", "--with-parent", port=0, model="model", max_tokens=32)
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.communicate(timeout=GRACE_S)


@pytest.fixture(scope="module")
def worker(place: Place, url: str) -> Iterator[None]:
    worker = place.start("worker", "--url", url, model="model", max_tokens=32)
    assert worker.stdout is not None
    assert worker.stdout.readline().startswith("working on local as ")
    yield
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=GRACE_S)
    assert worker.returncode == 0, errors[-2000:]


class TestOperated:
    """What an operator does beside a platform that serves: through the CLI, to a worker."""

    def wait_for(self, place: Place, cycle_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            found = [one for one in json.loads(place.run("cycle", "list", "--json"))
                     if one["cycle_id"] == cycle_id]  # fmt: skip
            if found and found[0]["outcome"] not in ("", "unfinished", None):
                return dict(found[0])
            time.sleep(0.3)
        raise AssertionError(f"{cycle_id} did not come to its end")

    def test_back_to_a_version_and_search_answers_with_it(
        self, place: Place, url: str, worker: None, result: dict[str, Any]
    ) -> None:
        place.run("cycle", "rollback", "--to", "v1.0", "--reason", "exercise")
        wanted = result["release"]["before"]["digest"]
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            answer = json.loads(place.run("search", "whale", "--url", url, "--json"))
            if answer["release"] == wanted:
                break
            time.sleep(0.2)
        assert answer["release"] == wanted

    def test_the_kill_switch_stops_a_requested_cycle(self, place: Place, worker: None) -> None:
        place.run("kill", "on", "--reason", "exercise")
        asked = json.loads(place.run("cycle", "request", "--reason", "exercise", "--json"))
        assert self.wait_for(place, asked["cycle_id"])["outcome"] in {"denied", "error"}
        place.run("kill", "off", "--reason", "over")

    def test_the_audit_of_everything_holds(self, place: Place, worker: None) -> None:
        verified = json.loads(place.run("audit", "verify", "--json"))
        assert verified["ok"], verified

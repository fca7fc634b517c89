"""What a user gets from one whole ``predator run``: a turned ring, and all that it leaves."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.tiny_collection import write_tiny_collection

SHORT = {
    "port": 0, "window_s": 1.5, "windows_max": 3, "experiment_max_s": 10, "experiment_min_s": 3,
    "watch_looks": 3, "watch_look_s": 2, "holdback_share": 0.2, "rate_per_s": 60,
}  # fmt: skip


def command(*arguments: str, **settings: object) -> list[str]:
    pairs = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    return [sys.executable, "-m", "predator", *arguments, *pairs]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Any]]]:
    """One run in a folder with a space in its name; its working folder and its JSON."""
    folder = tmp_path_factory.mktemp("a run")
    data = write_tiny_collection(folder / "data")
    done = subprocess.run(
        command("run", "--data", str(data), "--json", "out.json", **SHORT),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    yield folder, json.loads((folder / "out.json").read_text())


def test_the_json_holds_what_it_promises(finished: tuple[Path, dict[str, Any]]) -> None:
    _, result = finished
    assert result["verdict"] == "PASS"
    assert result["promoted"] is True
    assert result["release"]["before"]["version"] == "v1.0"
    assert result["release"]["after"]["version"] == "v2.0"
    assert result["ndcg_at_10"]["candidate"] > result["ndcg_at_10"]["baseline"]
    assert result["delta"]["ci_low"] > 0
    assert result["experiment"]["result"]["users"]["candidate"] > 10
    assert result["failed_requests"] == 0
    assert result["duration_s"] > 0


def test_the_drill_is_caught_and_undone_by_one_commit(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    _, result = finished
    drill = result["drill"]
    assert drill["caught"]
    assert drill["restored_s"] < 5
    assert drill["reverts"] == 1
    log = subprocess.run(
        ["git", "-C", result["gitops"]["repository"], "log", "--format=%B"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert log.count("Reverts: ") == 1
    assert log.count("Step: promote") == 1


def test_every_artifact_of_the_cycle_is_there(finished: tuple[Path, dict[str, Any]]) -> None:
    _, result = finished
    folder = Path(result["artifacts"])
    for name in (
        "diagnostic_report.json", "dataset_manifest.yaml", "augmented_dataset.csv", "dvc.lock",
        "model_registry_ref", "evaluation.json", "ab_test_results.json", "helm_values_patch.yaml",
        "audit.jsonl", "cost.json",
    ):  # fmt: skip
        assert (folder / name).stat().st_size > 0, name
    (run,) = folder.glob("mlflow_run_*")
    assert list((run / "model").iterdir())
    assert list((run / "metrics").iterdir())


def test_the_cycle_reads_back_with_an_intact_audit(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, result = finished
    listed = subprocess.run(
        command("cycle", "list", "--json"), cwd=folder, capture_output=True, text=True, check=True
    )
    assert result["cycle_id"] in [row["cycle_id"] for row in json.loads(listed.stdout)]
    shown = subprocess.run(
        command("cycle", "show", result["cycle_id"], "--json"),
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    cycle = json.loads(shown.stdout)
    assert cycle["audit"]["ok"]
    assert [a["type"] for a in cycle["actions"]][:4] == [
        "diagnostic", "augment_data", "train_model", "evaluate",
    ]  # fmt: skip


def test_mlflow_holds_the_run_under_the_cycle_id(finished: tuple[Path, dict[str, Any]]) -> None:
    folder, result = finished
    database = sqlite3.connect(folder / ".predator" / "mlflow.db")
    tags = database.execute("SELECT value FROM tags WHERE key = 'si_cycle_id'").fetchall()
    database.close()
    assert (result["cycle_id"],) in tags


def test_a_clone_restores_the_dataset_by_dvc_pull(
    finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, result = finished
    lineage = folder / ".predator" / "lineage"
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(lineage), str(clone)], check=True)
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    subprocess.run(
        [sys.executable, "-m", "dvc", "pull", "-q"], cwd=clone, env=environment, check=True
    )
    name = f"datasets/{result['cycle_id']}/augmented_dataset.csv"
    kept = Path(result["artifacts"]) / "augmented_dataset.csv"
    assert (clone / name).read_bytes() == kept.read_bytes()


def test_the_platform_serves_the_promoted_release_again(
    finished: tuple[Path, dict[str, Any]],
) -> None:
    folder, result = finished
    with subprocess.Popen(
        command("serve", "--with-parent", port=0),
        cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as server:  # fmt: skip
        assert server.stdin is not None
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        found = subprocess.run(
            command("search", "whale coral", "--url", url, "--json"),
            cwd=folder, capture_output=True, text=True, check=True,
        )  # fmt: skip
        server.stdin.close()
        server.stdin = None
        server.wait(20)
    answer = json.loads(found.stdout)
    assert answer["release"] == result["release"]["after"]["digest"]
    assert answer["hits"]


@pytest.mark.parametrize("after_s", [1.0, 6.0])
def test_a_ctrl_c_leaves_nothing_running_and_nothing_locked(
    finished: tuple[Path, dict[str, Any]], after_s: float
) -> None:
    folder, _ = finished
    run = subprocess.Popen(
        command("run", "--data", "data", **SHORT),
        cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    time.sleep(after_s)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == 130, errors[-500:]
    assert "Traceback" not in errors
    marked = [p for p in _command_lines() if str(folder / ".predator" / "runs") in p]
    assert marked == []
    done = subprocess.run(
        command("bench", "relevance", "data"),
        cwd=folder, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0


def _command_lines() -> list[str]:
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found

"""MLflow on SQLite keeps the contract, quietly and within its own folders."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from predator.adapters.tracking.mlflow_sqlite import MlflowTracking
from predator.domain.errors import InputError
from tests.contracts.tracking import CYCLE, ListedTracking, SeenModel, SeenRun, TrackingContract

_SCRIPT = """
import os, sys
from pathlib import Path
def refuse_network(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        os.write(2, f"{event} {arguments}".encode())
        os._exit(1)
sys.addaudithook(refuse_network)
from predator.adapters.tracking.mlflow_sqlite import MlflowTracking
tracking = MlflowTracking(Path(sys.argv[1]), Path(sys.argv[2]))
print(tracking.start("si_2025_12_07_001", {"seed": "7"}))
tracking.finish(tracking.start("si_2025_12_07_001", {}), "success")
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with a schema and no run: making one costs half a second."""
    folder = tmp_path_factory.mktemp("template")
    MlflowTracking(folder / "mlflow.db", folder / "artifacts").cycles()
    return folder / "mlflow.db"


@pytest.fixture
def tracking(template: Path, tmp_path: Path) -> MlflowTracking:
    folder = tmp_path / "стеження за циклом"
    folder.mkdir()
    shutil.copy(template, folder / "mlflow.db")
    return MlflowTracking(folder / "mlflow.db", folder / "artifacts")


def reader(tracking: ListedTracking) -> Any:
    """Another client of the same database, as a person or a tool would open it."""
    from mlflow.tracking import MlflowClient

    assert isinstance(tracking, MlflowTracking)
    uri = f"sqlite:///{tracking.database}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def files(uri: str) -> dict[str, bytes]:
    root = Path(unquote(urlsplit(uri).path))
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


class TestMlflowTracking(TrackingContract):
    def run(self, tracking: ListedTracking, run_id: str) -> SeenRun:
        run = reader(tracking).get_run(run_id)
        return SeenRun(
            status=run.info.status,
            params=run.data.params,
            metrics=run.data.metrics,
            tags=run.data.tags,
            artifacts=files(run.info.artifact_uri),
            datasets={
                entry.dataset.name: json.loads(entry.dataset.profile)["num_rows"]
                for entry in run.inputs.dataset_inputs
            },
        )

    def model(self, tracking: ListedTracking, reference: str) -> SeenModel:
        name, number = reference.removeprefix("models:/").split("/")
        version = reader(tracking).get_model_version(name, number)
        source = reader(tracking).get_model_version_download_uri(name, number)
        return SeenModel(version.run_id, files(source), version.tags)

    def aliased(self, tracking: ListedTracking, name: str, alias: str) -> str:
        version = reader(tracking).get_model_version_by_alias(name, alias)
        return f"models:/{name}/{version.version}"


def test_a_first_start_is_quiet_offline_and_leaves_nothing_elsewhere(tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    hostile = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_RUN_ID": "0" * 32}
    arguments = [str(tmp_path / "state/mlflow.db"), str(tmp_path / "state/artifacts")]
    first, second = (
        subprocess.run(
            [sys.executable, "-c", _SCRIPT, *arguments],
            cwd=work,
            env=environment | hostile,
            capture_output=True,
            text=True,
            check=True,
        )
        for _ in range(2)
    )
    assert first.stdout == second.stdout
    assert (first.stderr, second.stderr) == ("", "")
    assert list(work.iterdir()) == []
    assert list(home.iterdir()) == []
    with sqlite3.connect(tmp_path / "state/mlflow.db") as database:
        locations = database.execute("SELECT artifact_location FROM experiments").fetchall()
    database.close()
    expected = (tmp_path / "state/artifacts").as_uri()
    assert all(location.startswith(expected) for (location,) in locations)


def test_a_leftover_of_a_killed_first_start_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".mlflow.db.new").write_bytes(b"half a schema")
    (tmp_path / ".mlflow.db.new-journal").write_bytes(b"half a journal")
    (tmp_path / "mlflow.db").touch()
    tracking = MlflowTracking(tmp_path / "mlflow.db", tmp_path / "artifacts")
    assert tracking.start(CYCLE, {})
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mlflow.db.lock", "mlflow.db"]


def test_two_that_start_one_cycle_at_once_get_one_run(tmp_path: Path) -> None:
    def start(_: int) -> str:
        return MlflowTracking(tmp_path / "m.db", tmp_path / "artifacts").start(CYCLE, {"a": "1"})

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(start, range(4)))) == 1


def test_actions_are_found_by_search(tracking: MlflowTracking) -> None:
    run_id = tracking.start(CYCLE, {})
    tracking.action(run_id, 3, {"type": "train_model", "status": "completed"})
    tracking.start("si_2025_12_07_002", {})
    query = "tags.`action.003.train_model` = 'completed' AND tags.si_cycle_id LIKE 'si_2025%'"
    client = reader(tracking)
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    assert [run.info.run_id for run in client.search_runs(experiments, query)] == [run_id]


def test_moved_artifacts_get_an_experiment_of_their_own(
    tracking: MlflowTracking, tmp_path: Path
) -> None:
    first = tracking.start(CYCLE, {})
    moved = MlflowTracking(tracking.database, tmp_path / "elsewhere")
    assert moved.start(CYCLE, {}) == first
    second = moved.start("si_2025_12_08_001", {})
    location = reader(moved).get_run(second).info.artifact_uri
    assert location.startswith((tmp_path / "elsewhere").as_uri())
    assert [entry.run_id for entry in moved.cycles()] == [second, first]


def test_a_file_that_is_no_database_is_refused_at_once_and_kept(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    for content in (b"not a database at all", b"SQLite format 3\0" + b"\xff" * 5000):
        database.write_bytes(content)
        with pytest.raises(InputError, match="is not a whole SQLite file"):
            MlflowTracking(database, tmp_path / "artifacts").start(CYCLE, {})
        assert database.read_bytes() == content
    with pytest.raises(InputError, match="is a folder"):
        MlflowTracking(tmp_path, tmp_path / "artifacts").start(CYCLE, {})


@pytest.mark.parametrize("character", ["?", "#", "%"])
def test_a_path_that_no_address_can_hold_is_refused(tmp_path: Path, character: str) -> None:
    with pytest.raises(InputError, match="holds"):
        MlflowTracking(tmp_path / f"a{character}b" / "m.db", tmp_path / "artifacts")

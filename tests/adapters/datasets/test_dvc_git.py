"""DVC in git keeps the contract, and survives what kills it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from predator.adapters.datasets.dvc_git import DvcDatasets
from predator.domain.errors import ConflictError, InputError, IntegrityError, PredatorError
from predator.ports.datasets import Datasets
from tests.contracts.datasets import CYCLE, INPUTS, NEXT, DatasetsContract, stage

_STAGE = """
import os, pathlib, sys, time
runs, source, target = map(pathlib.Path, sys.argv[1:])
with runs.open("a") as log:
    log.write(f"{os.getpid()}\\n")
inputs = {path.name: path.read_bytes() for path in source.iterdir()}
if "fail.txt" in inputs:
    print("to standard output, buffered")
    sys.exit("ValueError: " + inputs["fail.txt"].decode())
if "silent.txt" in inputs:
    sys.exit(0)
if "wait.txt" in inputs and not runs.with_suffix(".go").exists():
    target.write_bytes(b"half a ")
    runs.with_suffix(".waiting").touch()
    time.sleep(60)
target.write_bytes(b"id,text\\n" + b"".join(inputs[name] for name in sorted(inputs)))
"""
_BUILD = """
import json, sys
from pathlib import Path
from predator.adapters.datasets.dvc_git import DvcDatasets
root, remote, command, cycle_id = sys.argv[1:]
inputs = {"wait.txt": b"w\\n"}
print(DvcDatasets(Path(root), Path(remote), json.loads(command)).build(cycle_id, inputs).hash)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place whose name needs quoting."""
    place = tmp_path / "\u0434\u0430\u043d\u0456 $HOME 'x'"
    place.mkdir()
    (place / "stage.py").write_text(_STAGE)
    return place


@pytest.fixture
def command(folder: Path) -> list[str]:
    return ["python", str(folder / "stage.py"), str(folder / "runs")]


@pytest.fixture
def datasets(folder: Path, command: list[str]) -> DvcDatasets:
    return DvcDatasets(folder / "root", folder / "remote", command)


@pytest.fixture
def start_build(folder: Path, command: list[str]) -> Callable[[str], subprocess.Popen[str]]:
    """Start a build in another process and return once its stage is in the middle."""

    def start(cycle_id: str) -> subprocess.Popen[str]:
        arguments = [str(folder / "root"), str(folder / "remote"), json.dumps(command), cycle_id]
        builder = subprocess.Popen(
            [sys.executable, "-c", _BUILD, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        until(lambda: (folder / "runs.waiting").exists() or builder.poll() is not None)
        assert builder.poll() is None, builder.communicate()
        return builder

    return start


def until(happened: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-c", "core.quotepath=off", *arguments],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class TestDvcDatasets(DatasetsContract):
    def runs(self, datasets: Datasets) -> int:
        assert isinstance(datasets, DvcDatasets)
        log = datasets.root.parent / "runs"
        return len(log.read_text().splitlines()) if log.exists() else 0


def test_a_clone_pulls_the_same_bytes(datasets: DvcDatasets, folder: Path) -> None:
    first = datasets.build(CYCLE, INPUTS)
    second = datasets.build(NEXT, {"large.bin": bytes(3_000_000)})
    subprocess.run(
        ["git", "clone", "--quiet", str(datasets.root), str(folder / "clone")],
        check=True,
        capture_output=True,
    )
    elsewhere = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(folder / "site")}
    subprocess.run(
        [sys.executable, "-m", "dvc", "pull", "--quiet"],
        cwd=folder / "clone",
        env=os.environ | elsewhere,
        check=True,
        capture_output=True,
    )
    for version in (first, second):
        restored = folder / "clone" / version.path.relative_to(datasets.root)
        assert restored.read_bytes() == version.path.read_bytes()
        inputs = version.path.parent / "inputs"
        for source in inputs.iterdir():
            copy = folder / "clone" / source.relative_to(datasets.root)
            assert copy.read_bytes() == source.read_bytes()
    assert git(datasets.root, "status", "--short") == ""
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "status"],
        cwd=folder / "clone",
        env=os.environ | elsewhere,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "up to date" in status.stdout


def test_the_commit_names_cycle_inputs_and_dataset(datasets: DvcDatasets) -> None:
    version = datasets.build(CYCLE, INPUTS)
    assert git(datasets.root, "rev-parse", "HEAD").strip() == version.revision
    trailers = git(datasets.root, "log", "-1", "--format=%(trailers:only)").strip().splitlines()
    assert f"Cycle: {CYCLE}" in trailers
    assert f"Dataset: {version.hash}" in trailers
    assert git(datasets.root, "fsck", "--strict") == ""
    pipeline = YAML(typ="safe").load(version.path.with_name("dvc.yaml"))
    entry = pipeline["stages"][f"dataset-{CYCLE}"]
    assert entry["cmd"].startswith("python '")
    assert entry["cmd"].endswith(f" datasets/{CYCLE}/inputs datasets/{CYCLE}/augmented_dataset.csv")
    assert sys.prefix not in version.lock_file.read_text("utf-8")


def test_the_remote_restores_what_the_cache_lost_and_tells_what_it_cannot(
    datasets: DvcDatasets, folder: Path
) -> None:
    version = datasets.build(CYCLE, INPUTS)
    version.path.unlink()
    shutil.rmtree(datasets.root / ".dvc" / "cache")
    assert datasets.fetch(version) == stage(INPUTS)
    for kept in [path for path in (folder / "remote").rglob("*") if path.is_file()]:
        kept.chmod(0o644)
        kept.write_bytes(b"id,text\npoisoned\n")
    version.path.unlink()
    shutil.rmtree(datasets.root / ".dvc" / "cache", ignore_errors=True)
    with pytest.raises(IntegrityError, match="other bytes"):
        datasets.fetch(version)
    assert not version.path.exists()
    shutil.rmtree(folder / "remote")
    with pytest.raises(PredatorError, match="DVC failed"):
        datasets.fetch(version)


def test_bytes_that_the_remote_does_not_hold_are_not_committed(
    datasets: DvcDatasets, folder: Path
) -> None:
    datasets.build(CYCLE, INPUTS)
    objects = [path for path in (folder / "remote").rglob("*") if path.is_file()]
    for kept in [path for path in objects if path.suffix != ".dir"]:
        kept.chmod(0o644)
        kept.write_bytes(b"id,text\npoisoned\n")
    with pytest.raises(PredatorError, match="the remote holds other bytes in"):
        datasets.build(NEXT, INPUTS)
    assert git(datasets.root, "rev-list", "--count", "HEAD").strip() == "1"
    shutil.rmtree(folder / "remote")
    datasets.build(NEXT, INPUTS)


def test_a_kill_in_the_middle_ends_the_stage_and_a_rerun_builds(
    datasets: DvcDatasets, folder: Path, start_build: Callable[[str], subprocess.Popen[str]]
) -> None:
    kept = datasets.build(CYCLE, INPUTS)
    head = git(datasets.root, "rev-parse", "HEAD")
    builder = start_build(NEXT)
    stage_pid = int((folder / "runs").read_text().splitlines()[-1])
    assert alive(stage_pid)
    builder.kill()
    builder.communicate()
    until(lambda: not alive(stage_pid))
    assert git(datasets.root, "rev-parse", "HEAD") == head

    (folder / "runs.go").touch()
    table = datasets.root / ".dvc" / "tmp" / "rwlock"
    assert table.exists(), "DVC no longer leaves its table behind: the sweep is not tested"
    # The worst case: another process has got the number of the killed one.
    held = json.loads(table.read_text())
    for entry in held["write"].values():
        entry["pid"] = os.getpid()
    table.write_text(json.dumps(held))
    os.utime(table, (1, 1))
    version = datasets.build(NEXT, {"wait.txt": b"w\n"})
    assert version.path.read_bytes() == b"id,text\nw\n"
    assert datasets.fetch(kept) == stage(INPUTS)
    assert git(datasets.root, "status", "--short") == ""


def test_what_a_killed_build_left_is_not_committed_by_another(
    datasets: DvcDatasets, folder: Path, start_build: Callable[[str], subprocess.Popen[str]]
) -> None:
    builder = start_build(NEXT)
    builder.kill()
    builder.communicate()
    (datasets.root / ".dvc" / "tmp" / "rwlock").write_text('{"write": {"/x": {"pi')
    (datasets.root / "datasets" / NEXT / "dvc.lock").write_text("schema: '2.0'\nstag")
    (datasets.root / ".git" / "index.lock").touch()
    (datasets.root / ".git" / "refs" / "heads" / "main.lock").touch()
    (datasets.root / ".git" / "predator-committing").touch()
    version = datasets.build(CYCLE, INPUTS)
    assert version.path.exists()
    assert not (datasets.root / "datasets" / NEXT).exists()
    assert git(datasets.root, "status", "--short") == ""


def test_ctrl_c_leaves_nothing_behind(
    datasets: DvcDatasets, folder: Path, start_build: Callable[[str], subprocess.Popen[str]]
) -> None:
    builder = start_build(CYCLE)
    stage_pid = int((folder / "runs").read_text().splitlines()[-1])
    builder.send_signal(signal.SIGINT)
    _, errors = builder.communicate(timeout=30)
    assert "KeyboardInterrupt" in errors
    assert not alive(stage_pid)
    assert not (datasets.root / "datasets" / CYCLE).exists()
    assert not (datasets.root / ".dvcignore").exists()
    (folder / "runs.go").touch()
    assert datasets.build(CYCLE, {"wait.txt": b"w\n"}).path.exists()


def test_two_builders_take_turns(datasets: DvcDatasets) -> None:
    with ThreadPoolExecutor(3) as pool:
        versions = list(pool.map(lambda c: datasets.build(c, INPUTS), (CYCLE, NEXT, CYCLE)))
    assert versions[0] == versions[2]
    assert git(datasets.root, "rev-list", "--count", "HEAD").strip() == "2"


def test_a_lock_that_is_not_ours_is_respected(datasets: DvcDatasets) -> None:
    datasets.build(CYCLE, INPUTS)
    lock = datasets.root / ".git" / "refs" / "heads" / "main.lock"
    lock.touch()
    with pytest.raises(ConflictError, match=r"held by main\.lock"):
        datasets.build(NEXT, INPUTS)
    assert lock.exists()
    assert not (datasets.root / "datasets" / NEXT).exists()
    lock.unlink()
    held = datasets.root / ".git" / "index.lock"
    held.touch()
    version = datasets.build(NEXT, INPUTS)
    assert git(datasets.root, "rev-parse", "HEAD").strip() == version.revision
    assert held.exists()


def test_a_stage_that_writes_nothing_fails(datasets: DvcDatasets) -> None:
    with pytest.raises(PredatorError, match="does not exist"):
        datasets.build(CYCLE, {"silent.txt": b""})
    assert not (datasets.root / "datasets" / CYCLE).exists()


def test_nothing_outside_is_written_or_obeyed(
    datasets: DvcDatasets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    (home / ".gitconfig").write_text("[commit]\n\tgpgsign = true\n[tag]\n\tgpgsign = true\n")
    (work / "dvc.py").write_text("raise SystemExit('hijacked')")
    monkeypatch.chdir(work)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DVC_GLOBAL_CONFIG_DIR", str(work))
    monkeypatch.setenv("GIT_DIR", str(work))
    (work / "config").write_text("[core]\n    hardlink_lock = true\n    no_scm = true\n")
    before = sorted(work.iterdir())
    version = datasets.build(CYCLE, INPUTS)
    assert datasets.register_artifact("augmented", "v1.0.0", version.revision)
    assert sorted(work.iterdir()) == before
    assert [path.name for path in home.iterdir()] == [".gitconfig"]
    monkeypatch.delenv("GIT_DIR")
    assert git(datasets.root, "cat-file", "-t", "augmented@v1.0.0").strip() == "tag"


def test_an_artifact_is_registered_once(datasets: DvcDatasets) -> None:
    first, second = datasets.build(CYCLE, INPUTS), datasets.build(NEXT, INPUTS)
    assert datasets.register_artifact("augmented", "v1.2.3", first.revision) == "augmented@v1.2.3"
    datasets.register_artifact("augmented", "v1.2.3", first.revision)
    assert git(datasets.root, "rev-list", "-1", "augmented@v1.2.3").strip() == first.revision
    with pytest.raises(InputError, match="already names revision"):
        datasets.register_artifact("augmented", "v1.2.3", second.revision)
    with pytest.raises(InputError, match="GTO failed"):
        datasets.register_artifact("../x y", "v1.2.4", second.revision)
    with pytest.raises(InputError, match="GTO failed"):
        datasets.register_artifact("augmented", "newest", second.revision)


@pytest.mark.parametrize("command", [[], ["python", "${HOME}"], ["a\nb"], ["a\0b"]])
def test_a_command_that_dvc_would_read_otherwise_is_refused(
    tmp_path: Path, command: list[str]
) -> None:
    with pytest.raises(InputError, match="the dataset stage's command"):
        DvcDatasets(tmp_path / "root", tmp_path / "remote", command)

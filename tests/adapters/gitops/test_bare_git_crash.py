"""Processes race for one repository and die in the middle of a commit; nothing is lost."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.domain.errors import ConflictError, PredatorError

RACERS, ROUNDS = 8, 6


def race(path: Path, number: int, start: Barrier, results: Path) -> None:
    gitops = BareGit(path)
    won = []
    for turn in range(ROUNDS):
        start.wait(60)
        parent = gitops.head()
        start.wait(60)
        try:
            gitops.commit({f"{turn}/{number}": "won"}, f"{turn} {number}", {}, parent=parent)
            won.append(str(turn))
        except ConflictError:
            pass
    (results / str(number)).write_text(" ".join(won))


def test_of_racing_processes_one_wins_each_round(tmp_path: Path) -> None:
    path = tmp_path / "gitops.git"
    results = tmp_path / "results"
    results.mkdir()
    context = get_context("spawn")
    start = context.Barrier(RACERS)
    processes = [
        context.Process(target=race, args=(path, number, start, results))
        for number in range(RACERS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(90)
        assert process.exitcode == 0
    wins = {
        (int(turn), int(file.name))
        for file in results.iterdir()
        for turn in file.read_text().split()
    }
    assert sorted(turn for turn, _ in wins) == list(range(ROUNDS))
    gitops = BareGit(path)
    assert {tuple(map(int, c.subject.split())) for c in gitops.log()} == wins
    assert all(gitops.read(f"{turn}/{number}") == "won" for turn, number in wins)
    fsck = subprocess.run(["git", "fsck", "--strict"], cwd=path, capture_output=True, check=False)
    assert fsck.returncode == 0


WRITER = """
import sys
from pathlib import Path
from predator.adapters.gitops.bare_git import BareGit
gitops = BareGit(Path(sys.argv[1]))
number = 0
while True:
    head = gitops.head()
    step = {"Cycle": sys.argv[2], "Step": str(number)}
    revision = gitops.commit({"n": f"{sys.argv[2]} {number}"}, "s", step, parent=head)
    print(number, revision, flush=True)
    number += 1
"""


def test_a_writer_killed_at_any_instant_leaves_a_sound_repository(tmp_path: Path) -> None:
    path = tmp_path / "gitops.git"
    acknowledged = []
    for life in range(4):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), f"life-{life}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        acknowledged.append(writer.stdout.readline())
        time.sleep(0.01 + 0.037 * life)
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait(10)
    gitops = BareGit(path, stale_lock_s=0.05)
    known = {commit.revision for commit in gitops.log(100_000)}
    assert len(acknowledged) >= 4
    assert {line.split()[1] for line in acknowledged} <= known
    head = gitops.commit({"n": "after"}, "after", {}, parent=gitops.head())
    assert gitops.head() == head
    fsck = subprocess.run(["git", "fsck", "--strict"], cwd=path, capture_output=True, check=False)
    assert fsck.returncode == 0


def test_a_lock_left_by_the_dead_is_removed(tmp_path: Path) -> None:
    gitops = BareGit(tmp_path / "g", stale_lock_s=0.05)
    first = gitops.commit({"a": "1"}, "s", {}, parent=None)
    lock = tmp_path / "g" / "refs" / "heads" / "main.lock"
    lock.write_bytes(b"half")
    second = gitops.commit({"a": "2"}, "s", {}, parent=first)
    assert gitops.head() == second
    assert not lock.exists()


def test_a_damaged_object_is_written_anew(tmp_path: Path) -> None:
    model = BareGit(tmp_path / "model", now=lambda: 0)
    model.commit({"a/b": "1"}, "s", {}, parent=None)
    gitops = BareGit(tmp_path / "g", now=lambda: 0)
    for file in (tmp_path / "model" / "objects").glob("??/*"):
        damaged = tmp_path / "g" / "objects" / file.parent.name / file.name
        damaged.parent.mkdir(exist_ok=True)
        damaged.write_bytes(b"half")
    assert gitops.commit({"a/b": "1"}, "s", {}, parent=None) == model.head()
    assert gitops.read("a/b") == "1"


def test_a_live_git_client_is_waited_for_and_then_obeyed(tmp_path: Path) -> None:
    gitops = BareGit(tmp_path / "g", stale_lock_s=5)
    first = gitops.commit({"a": "1"}, "s", {}, parent=None)
    other = BareGit(tmp_path / "other", now=lambda: 7)
    other.commit({"a": "2"}, "s", {}, parent=None)
    lock = tmp_path / "g" / "refs" / "heads" / "main.lock"
    lock.write_text(f"{other.head()}\n")
    push = threading.Timer(0.1, lambda: lock.replace(lock.with_suffix("")))
    push.start()
    with pytest.raises(ConflictError):
        gitops.commit({"a": "3"}, "s", {}, parent=first)
    push.join()
    assert gitops.head() == other.head()


def test_a_stopped_holder_stops_nobody_for_ever(tmp_path: Path) -> None:
    gitops = BareGit(tmp_path / "g", lock_timeout_s=0.05)
    held = os.open(tmp_path / ".g.lock", os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    with pytest.raises(PredatorError, match="locked by another process"):
        gitops.commit({"a": "1"}, "s", {}, parent=None)
    os.close(held)
    assert gitops.commit({"a": "1"}, "s", {}, parent=None) == gitops.head()


def test_a_full_disk_leaves_the_head_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gitops = BareGit(tmp_path / "g")
    head = gitops.commit({"a": "0"}, "s", {}, parent=None)
    real, calls, failures = os.fsync, 0, 0

    def failing(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise OSError(28, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", failing)
    for fail_at in range(1, 15):
        calls = 0
        before = gitops.head()
        step = {"Cycle": "c", "Step": str(fail_at)}
        try:
            head = gitops.commit({"a": str(fail_at)}, "s", step, parent=before)
        except OSError:
            failures += 1
            # The branch moved only if the failure came after its swap; a retry then finds it.
            calls = 100
            head = gitops.commit({"a": str(fail_at)}, "s", step, parent=before)
        assert gitops.head() == head
        assert gitops.read("a") == str(fail_at)
    assert failures >= 5
    assert len(gitops.log()) == 15

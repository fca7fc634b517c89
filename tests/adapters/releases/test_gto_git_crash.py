"""Processes race for a version and die while they tag; the register stays whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.releases.gto_git import GtoGitReleases
from predator.domain.errors import ConflictError
from tests.contracts.releases import AT, entry

PROCESSES, THREADS = 4, 4

RACER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from predator.adapters.releases.gto_git import GtoGitReleases
from predator.domain.errors import ConflictError
from tests.contracts.releases import AT, entry

repository, process, threads, revision = Path(sys.argv[1]), *map(int, sys.argv[2:4]), sys.argv[4]
registers = [GtoGitReleases(repository) for _ in range(threads)]
print("ready", flush=True)
sys.stdin.readline()

def race(thread):
    digest = f"{process * threads + thread:064x}"
    try:
        registers[thread].keep(entry("v2.0", revision, digest=digest))
        return digest
    except ConflictError:
        return "-"

with ThreadPoolExecutor(threads) as pool:
    print(*pool.map(race, range(threads)))
"""


def test_of_sixteen_racers_in_four_processes_one_names_the_version(tmp_path: Path) -> None:
    path = tmp_path / "gitops.git"
    revision = BareGit(path).commit({"a": "1"}, "s", {}, parent=None)
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(path), str(number), str(THREADS), revision],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    answers = []
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    for racer in racers:
        output, _ = racer.communicate(timeout=60)
        assert racer.returncode == 0
        answers += output.split()
    assert len(answers) == PROCESSES * THREADS
    [winner] = [answer for answer in answers if answer != "-"]
    assert GtoGitReleases(path).get("v2.0").digest == winner
    assert len(list((path / "refs" / "tags").iterdir())) == 1


WRITER = """
import sys
from pathlib import Path
from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.releases.gto_git import GtoGitReleases
from tests.contracts.releases import AT, entry

path, life = Path(sys.argv[1]), int(sys.argv[2])
gitops, releases = BareGit(path), GtoGitReleases(path, stale_lock_s=0.05)
kept = releases.list()
number = int(kept[0].version[1:-2]) if kept else 1
while True:
    version = f"v{number}.0"
    step = {"Cycle": version, "Step": "promote"}
    revision = gitops.commit({"n": version}, "s", step, parent=gitops.head())
    releases.keep(entry(version, revision))
    releases.mark(version, "stable", AT)
    releases.mark(version, "gold", AT)
    print(version, flush=True)
    number += 1
"""


@pytest.mark.parametrize("lives", [4, pytest.param(60, marks=pytest.mark.nightly)])
def test_a_writer_killed_at_any_instant_and_run_again_loses_nothing(
    tmp_path: Path, lives: int
) -> None:
    path = tmp_path / "gitops.git"
    BareGit(path)
    acknowledged: list[str] = []
    for life in range(lives):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(life)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged.append(writer.stdout.readline().strip())
        time.sleep(0.003 + 0.0137 * (life % 7))
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line.strip() for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait(10)
    releases = GtoGitReleases(path, stale_lock_s=0.05)
    kept = releases.list()
    assert len(acknowledged) >= lives
    assert {e.version for e in kept if e.gold_at is not None} >= set(acknowledged)
    # The last one may have been cut off between its steps; to repeat them makes it whole.
    last = kept[0]
    assert releases.keep(replace(last, at=AT + 9)) == last
    releases.mark(last.version, "stable", AT)
    releases.mark(last.version, "gold", AT)
    tags = [file.name for file in (path / "refs" / "tags").iterdir()]
    assert len([name for name in tags if not name.endswith(".lock")]) == 3 * len(kept)
    fsck = subprocess.run(["git", "fsck", "--strict"], cwd=path, capture_output=True, check=False)
    assert fsck.returncode == 0


def test_whichever_write_fails_the_tag_is_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gitops, releases = BareGit(tmp_path / "g"), GtoGitReleases(tmp_path / "g")
    real, calls, failures, fail_at = os.fsync, 0, 0, 0

    def failing(fd: int) -> None:
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise OSError(28, "No space left on device")
        real(fd)

    monkeypatch.setattr(os, "fsync", failing)
    for number in range(1, 9):
        version = f"v{number}.0"
        calls = 100
        revision = gitops.commit({"n": version}, "s", {}, parent=gitops.head())
        calls, fail_at = 0, number
        try:
            releases.keep(entry(version, revision))
            releases.mark(version, "stable", AT)
        except OSError:
            failures += 1
            calls = 100
            releases.keep(entry(version, revision))
            releases.mark(version, "stable", AT)
        assert GtoGitReleases(tmp_path / "g").list()[0].version == version
        assert releases.get(version).stable_at == AT
    assert failures >= 6
    assert len(list((tmp_path / "g" / "refs" / "tags").iterdir())) == 16


def test_a_lock_left_by_the_dead_is_removed(tmp_path: Path) -> None:
    revision = BareGit(tmp_path / "g").commit({"a": "1"}, "s", {}, parent=None)
    lock = tmp_path / "g" / "refs" / "tags" / "predator-release@v1.0.0.lock"
    lock.write_bytes(b"half")
    releases = GtoGitReleases(tmp_path / "g", stale_lock_s=0.05)
    assert releases.list() == []
    assert releases.keep(entry("v1.0", revision)) == releases.get("v1.0")
    assert not lock.exists()


def test_a_git_client_that_tags_meanwhile_is_waited_for_and_then_obeyed(tmp_path: Path) -> None:
    revision = BareGit(tmp_path / "g").commit({"a": "1"}, "s", {}, parent=None)
    tag = tmp_path / "g" / "refs" / "tags" / "predator-release@v1.0.0"
    lock = tag.with_name(f"{tag.name}.lock")
    lock.write_text(f"{revision}\n")
    push = threading.Timer(0.1, lambda: lock.replace(tag))
    push.start()
    with pytest.raises(ConflictError, match="somebody else made the tag"):
        GtoGitReleases(tmp_path / "g", stale_lock_s=5).keep(entry("v1.0", revision))
    push.join()
    assert tag.read_text() == f"{revision}\n"


def test_commits_and_tags_of_many_threads_get_along(tmp_path: Path) -> None:
    def promote(number: int) -> None:
        gitops, releases = BareGit(tmp_path / "g"), GtoGitReleases(tmp_path / "g")
        while True:
            try:
                change = {f"{number}": "1"}
                revision = gitops.commit(change, "s", {}, parent=gitops.head())
                break
            except ConflictError:
                continue
        releases.keep(entry(f"v{number}.0", revision))
        releases.mark(f"v{number}.0", "stable", AT)

    BareGit(tmp_path / "g")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(promote, range(1, 17)))
    kept = GtoGitReleases(tmp_path / "g").list()
    assert [e.version for e in kept if e.stable_at] == [f"v{n}.0" for n in range(16, 0, -1)]

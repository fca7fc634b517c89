"""Only the entries of processes that can still act are kept in DVC's table of locks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from predator.adapters.datasets.stale_locks import sweep


def table(folder: Path, *pids: int) -> Path:
    path = folder / "rwlock"
    entries = [{"pid": pid, "cmd": "dvc repro"} for pid in pids]
    write = {f"/out/{entry['pid']}": entry for entry in entries}
    path.write_text(json.dumps({"write": write, "read": {"/inputs": entries}}))
    return path


def test_a_living_writer_is_kept_and_a_dead_one_dropped(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    path = table(tmp_path, os.getpid(), gone.pid)
    sweep(tmp_path)
    held = json.loads(path.read_text())
    assert list(held["write"]) == [f"/out/{os.getpid()}"]
    assert [info["pid"] for info in held["read"]["/inputs"]] == [os.getpid()]


def test_a_process_that_nobody_reaped_is_dead(tmp_path: Path) -> None:
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    path = table(tmp_path, zombie.pid)
    sweep(tmp_path)
    assert json.loads(path.read_text()) == {}
    zombie.wait()


def test_a_process_younger_than_the_table_did_not_write_it(tmp_path: Path) -> None:
    path = table(tmp_path, os.getpid())
    os.utime(path, (1, 1))
    sweep(tmp_path)
    assert json.loads(path.read_text()) == {}


@pytest.mark.parametrize("text", ["", '{"write": {"/x": {"pi', "[]", '{"write": {"/x": {}}}'])
def test_a_table_cut_short_is_emptied(tmp_path: Path, text: str) -> None:
    (tmp_path / "rwlock").write_text(text)
    sweep(tmp_path)
    assert json.loads((tmp_path / "rwlock").read_text()) == {}


def test_no_table_is_no_trouble(tmp_path: Path) -> None:
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []

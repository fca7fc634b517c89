"""I4: a disk that fails, fills up or may not be written, and databases that stay locked.

Whatever happens, users get a whole release, the old one or one that was kept; nothing that others
wait for is held; the record is sound. Once the fault is gone, the next cycle goes all the way.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from predator.domain.errors import PredatorError
from predator.loop.release.bundle import verify_bundle
from predator.search.desired import LiveRelease
from tests.crash import checks
from tests.crash.contour import Contour
from tests.crash.faults import KINDS
from tests.crash.nursery import KILLED, Nursery, Orders

ANSWER_S = 60.0
CHANCE = random.Random()  # noqa: S311 - which operation fails is no secret


class User:
    """Looks all the time at what git says is live: it must always be a whole release."""

    def __init__(self, contour: Contour) -> None:
        self._git, self._desired = contour.git(), contour.desired()
        self._objects = contour.objects()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.wrong: list[str] = []
        self.looks = 0

    def __enter__(self) -> User:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join(10.0)
        assert self.wrong == []
        assert self.looks > 0

    def _look(self) -> None:
        while not self._stop.wait(0.02):
            try:
                wanted = self._desired.read()
                digests = [wanted.release.digest]
                digests += [wanted.experiment.candidate] if wanted.experiment else []
                digests += [wanted.holdback.release] if wanted.holdback else []
                self.wrong += [f for d in digests for f in verify_bundle(self._objects, d)]
            except PredatorError as error:
                self.wrong.append(str(error))
            self.looks += 1


def after_a_fault(nursery: Nursery, contour: Contour, fault: dict[str, Any]) -> str:
    """How a cycle ended in whose worker this fault struck; a new worker may be needed."""
    before = contour.desired().read().release
    cycle_id = contour.ask()
    orders = Orders(str(contour.folder), flow_id=cycle_id, fault=fault)
    with User(contour):
        worker = nursery.start(orders)
        code = nursery.wait(worker, 4.0 if fault.get("lasting") else ANSWER_S)
        if code is None:
            os.kill(worker, signal.SIGKILL)
            assert nursery.wait(worker) == KILLED
        if code != 0:
            assert nursery.live(Orders(str(contour.folder), flow_id=cycle_id), ANSWER_S) == 0
    if fault.get("n", 0) <= len(done := struck(contour)):
        sys.stdout.write(f"{fault} at {done[fault.get('n', 0) - 1]}\n")
    return checks.check_ended(contour, cycle_id, before)


def check_goes_all_the_way(nursery: Nursery, contour: Contour) -> None:
    cycle_id = contour.ask()
    assert nursery.live(Orders(str(contour.folder), flow_id=cycle_id)) == 0
    checks.check_cycle(contour, cycle_id, checks.PROMOTED, "success")
    checks.check_kept(contour, cycle_id)


def operations(nursery: Nursery, contour: Contour, under: str = "") -> list[str]:
    """What a cycle does to the disk, in order."""
    assert after_a_fault(nursery, contour, {"under": under}) == "done"
    return struck(contour)


def struck(contour: Contour) -> list[str]:
    """What the last worker with faults did to the disk, up to the one that failed and after it."""
    return (contour.folder / "operations").read_text().splitlines()


def test_a_disk_that_fails_once_is_no_disaster(nursery: Nursery, contour: Contour) -> None:
    count = len(operations(nursery, contour))
    assert count > 400
    for n in CHANCE.sample(range(1, count - 50), 5):
        after_a_fault(nursery, contour, {"n": n, "kind": CHANCE.choice(KINDS)})
        assert len(struck(contour)) >= n
    check_goes_all_the_way(nursery, contour)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_whichever_operation_fails(nursery: Nursery, contour: Contour, kind: str) -> None:
    count = len(operations(nursery, contour))
    for n in range(1, count + 1):
        after_a_fault(nursery, contour, {"n": n, "kind": kind})
    check_goes_all_the_way(nursery, contour)


def test_a_repository_that_stays_read_only_keeps_nobody(nursery: Nursery, contour: Contour) -> None:
    """From an operation in the middle on nothing can be committed, until a new worker."""
    part = "gitops.git"
    count = len(operations(nursery, contour, part))
    n = CHANCE.randrange(count // 3, count)
    after_a_fault(nursery, contour, {"n": n, "kind": "EROFS", "lasting": True, "under": part})
    check_goes_all_the_way(nursery, contour)


@pytest.mark.nightly
@pytest.mark.parametrize("part", ["", "gitops.git", "artifacts", "mlflow-artifacts", "objects"])
def test_wherever_nothing_can_be_written_any_more(
    nursery: Nursery, contour: Contour, part: str
) -> None:
    count = len(operations(nursery, contour, part))
    for n in sorted(CHANCE.sample(range(1, count + 1), min(count, 40))):
        after_a_fault(nursery, contour, {"n": n, "kind": "EROFS", "lasting": True, "under": part})
    check_goes_all_the_way(nursery, contour)


@contextmanager
def locked(file: Path, seconds: float) -> Iterator[None]:
    """Somebody else writes to this database for so long."""
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(seconds, lambda: other.execute("ROLLBACK"))
        timer.start()
        try:
            yield
        finally:
            timer.join()


def while_locked(
    nursery: Nursery, contour: Contour, names: Sequence[str], seconds: float, **orders: Any
) -> str:
    before = contour.desired().read().release
    cycle_id = contour.ask()
    worker = nursery.start(Orders(str(contour.folder), flow_id=cycle_id, **orders))
    time.sleep(CHANCE.uniform(0.0, 1.0))
    with User(contour), ExitStack() as locks:
        for name in names:
            locks.enter_context(locked(contour.folder / name, seconds))
        assert nursery.wait(worker, seconds + ANSWER_S) == 0
    return checks.check_ended(contour, cycle_id, before)


DATABASES = ["optimizer.db", "flows.db", "mlflow.db"]


def test_databases_that_are_locked_for_a_moment_are_waited_for(
    nursery: Nursery, contour: Contour
) -> None:
    assert while_locked(nursery, contour, DATABASES, 1.0) == "done"


def test_one_that_is_locked_for_too_long_is_an_error(nursery: Nursery, contour: Contour) -> None:
    while_locked(nursery, contour, ["optimizer.db"], 2.0, busy_timeout_s=0.3)


@pytest.mark.nightly
@pytest.mark.parametrize("name", DATABASES)
def test_one_may_be_locked_for_half_a_minute(nursery: Nursery, contour: Contour, name: str) -> None:
    while_locked(nursery, contour, [name], 35.0)
    check_goes_all_the_way(nursery, contour)


def ends_once_there_is_room(
    nursery: Nursery, contour: Contour, cycle_id: str, before: LiveRelease
) -> None:
    assert nursery.live(Orders(str(contour.folder), flow_id=cycle_id), ANSWER_S) == 0
    checks.check_ended(contour, cycle_id, before)


def test_a_limit_on_files_ends_no_cycle_halfway(nursery: Nursery, contour: Contour) -> None:
    """The kernel refuses to let any file grow: databases, journals and models alike."""
    before = contour.desired().read().release
    size = (contour.folder / "flows.db").stat().st_size
    cycle_id = contour.ask()
    orders = Orders(
        str(contour.folder), flow_id=cycle_id, file_size=size + CHANCE.randrange(4096, 200_000)
    )
    with User(contour):
        worker = nursery.start(orders)
        if nursery.wait(worker, 3.0) is None:
            os.kill(worker, signal.SIGKILL)
            nursery.wait(worker)
    ends_once_there_is_room(nursery, contour, cycle_id, before)


@pytest.fixture
def small_disk(template: Path, tmp_path: Path) -> Iterator[Contour]:
    """A contour on a file system of its own, of 24 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("platform: this user may not mount a file system")
    try:
        shutil.copytree(template, place / "contour")
        yield Contour(place / "contour")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_ends_no_cycle_halfway(nursery: Nursery, small_disk: Contour) -> None:
    before = small_disk.desired().read().release
    cycle_id = small_disk.ask()
    found = os.statvfs(small_disk.folder)
    room = CHANCE.randrange(20_000, 600_000)
    filler = small_disk.folder.parent / "filler"
    filler.write_bytes(bytes(found.f_bavail * found.f_frsize - room))
    with User(small_disk):
        worker = nursery.start(Orders(str(small_disk.folder), flow_id=cycle_id))
        if nursery.wait(worker, 3.0) is None:
            os.kill(worker, signal.SIGKILL)
            nursery.wait(worker)
    filler.unlink()
    ends_once_there_is_room(nursery, small_disk, cycle_id, before)
    check_goes_all_the_way(nursery, small_disk)


def test_a_read_only_disk_is_said_in_a_line(nursery: Nursery, small_disk: Contour) -> None:
    before = small_disk.desired().read().release
    cycle_id = small_disk.ask()
    disk = str(small_disk.folder.parent)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert nursery.live(Orders(str(small_disk.folder), flow_id=cycle_id)) == 1
    assert "Read-only file system" in nursery.said
    assert nursery.said.count("\n") == 0
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    ends_once_there_is_room(nursery, small_disk, cycle_id, before)

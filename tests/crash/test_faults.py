"""I4: a disk that fails, fills up or may not be written, and databases that stay locked.

Whatever happens, users get a whole release, the old one or one that was kept; nothing that others
wait for is held; the record is sound. Once the fault is gone, the next cycle goes all the way.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from predator.domain.errors import PredatorError
from predator.loop.anchor import Anchors
from predator.loop.bundle import verify_bundle
from predator.loop.verify import verify_cycle
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
                digests += [wanted.experiment.release] if wanted.experiment else []
                digests += [wanted.holdback.release] if wanted.holdback else []
                self.wrong += [f for d in digests for f in verify_bundle(self._objects, d)]
            except PredatorError as error:
                self.wrong.append(str(error))
            self.looks += 1


def check_ended(contour: Contour, cycle_id: str, before: LiveRelease) -> str:
    """It came to its end with everything right, or to an error that left users where they were."""
    found = checks.status(contour, cycle_id)
    assert found.state in {"done", "failed"}, found.state
    checks.check_repository(contour)
    if found.state == "done":
        checks.check_cycle(contour, cycle_id, checks.PROMOTED, "success")
        checks.check_kept(contour, cycle_id)
        return "done"
    assert found.error
    wanted = contour.desired().read()
    assert (wanted.experiment, wanted.holdback) == (None, None)
    if wanted.release != before:
        assert wanted.release.cycle == cycle_id
        kept = contour.releases().get(wanted.release.version)
        assert kept.stable_at is not None
    rows = checks.rows(contour)
    assert rows["experiment_slots"] == [] and rows["reservations"] == []
    [outcome] = [row[7] for row in rows["cycles"] if row[0] == cycle_id]
    assert outcome in {"error", "success"}
    record = verify_cycle(contour.artifacts / cycle_id, [Anchors(contour.git())])
    assert record.ok, record.fault
    if record.state != "closed":
        assert any(row[2] == "critical" for row in rows["notices"] if row[6] == cycle_id)
    return "failed"


def after_a_fault(nursery: Nursery, contour: Contour, fault: dict[str, Any]) -> str:
    """How a cycle ended in whose worker this fault struck; a new worker without it may be needed."""
    before = contour.desired().read().release
    cycle_id = contour.ask()
    orders = Orders(str(contour.folder), flow_id=cycle_id, fault=fault)
    with User(contour):
        worker = nursery.start(orders)
        code = nursery.wait(worker, 8.0 if fault.get("lasting") else ANSWER_S)
        if code is None:
            os.kill(worker, signal.SIGKILL)
            assert nursery.wait(worker) == KILLED
        if code != 0:
            assert nursery.live(Orders(str(contour.folder), flow_id=cycle_id), ANSWER_S) == 0
    return check_ended(contour, cycle_id, before)


def check_goes_all_the_way(nursery: Nursery, contour: Contour) -> None:
    cycle_id = contour.ask()
    assert nursery.live(Orders(str(contour.folder), flow_id=cycle_id)) == 0
    checks.check_cycle(contour, cycle_id, checks.PROMOTED, "success")
    checks.check_kept(contour, cycle_id)


def operations(nursery: Nursery, contour: Contour) -> list[str]:
    """What a cycle does to the disk, in order."""
    assert after_a_fault(nursery, contour, {}) == "done"
    return (contour.folder / "operations").read_text().splitlines()


def test_a_disk_that_fails_once_is_no_disaster(nursery: Nursery, contour: Contour) -> None:
    count = len(operations(nursery, contour))
    assert count > 300
    ends = [
        after_a_fault(nursery, contour, {"n": n, "kind": CHANCE.choice(KINDS)})
        for n in sorted(CHANCE.sample(range(1, count + 1), 6))
    ]
    assert "failed" in ends
    check_goes_all_the_way(nursery, contour)

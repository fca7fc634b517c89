"""Workers that are killed or frozen: each effect is there once, and nobody works for two."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from predator.adapters.runtime.dbos_client import DbosFlows
from tests.adapters.runtime.worker_process import Nursery, end

ANSWER_S = 30.0
CHANCE = random.Random()  # noqa: S311 - when to kill is no secret


def killed_until_done(url: str, folder: Path, *, kills: int, steps: int) -> None:
    flows = DbosFlows(url)
    flows.enqueue("count", "f1", {"steps": steps, "pause_s": 0.003})
    with Nursery(url, folder, lease_s=5.0) as nursery:
        for _ in range(kills):
            worker = nursery.start("w1")
            time.sleep(CHANCE.uniform(0.0, 0.4))
            end(worker)
        restarted = time.monotonic()
        nursery.start("w1")
        until(partial(is_done, flows, "f1"))
        assert time.monotonic() - restarted <= ANSWER_S
    assert flows.result("f1") == ["w1"] * steps
    flows.close()
    numbers = [f"{number}" for number in range(steps)]
    assert (folder / "effects").read_text().split() == numbers
    started = [line for line in (folder / "log").read_text().splitlines() if "start" in line]
    assert steps <= len(started) <= steps + kills


def test_a_killed_worker_leaves_each_effect_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runtime.db"
    killed_until_done(url, tmp_path, kills=12, steps=150)


def test_so_it_does_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    killed_until_done(postgres_url, tmp_path, kills=5, steps=100)


@pytest.mark.nightly
def test_killed_two_hundred_times(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/runtime.db"
    killed_until_done(url, tmp_path, kills=200, steps=2000)


def frozen_past_their_leases(
    url: str, folder: Path, *, times: int, steps: int = 40, pause_s: float = 0.02
) -> None:
    """Freeze whoever runs the flow, until another one has taken over; then thaw it."""
    log = folder / "log"
    flows = DbosFlows(url)
    with Nursery(url, folder, lease_s=1.0) as nursery:
        pids = {name: nursery.start(name) for name in ("w1", "w2")}
        for number in range(times):
            log.write_text("")
            flows.enqueue("count", f"f{number}", {"steps": steps, "pause_s": pause_s})
            until(partial(longer_than, log, CHANCE.randrange(6)))
            while (before := freeze(pids, log)) is None:
                until(partial(longer_than, log, len(starts(log))))
            until(partial(is_done, flows, f"f{number}"))
            (old, _), after = starts(log)[before - 1], starts(log)[before:]
            assert len([step for name, step in after if name == old]) <= 1, after
            [new] = pids.keys() - {old}
            taken = next(step for name, step in after if name == new)
            assert flows.result(f"f{number}") == [old] * taken + [new] * (steps - taken)
    flows.close()


def freeze(pids: dict[str, int], log: Path) -> int | None:
    """How many steps had been started before the flow was taken over from its frozen worker.

    ``None`` where nobody could: within a transaction of SQLite, a frozen process holds up all.
    """
    old = starts(log)[-1][0]
    os.kill(pids[old], signal.SIGSTOP)
    before = len(starts(log))
    deadline = time.monotonic() + 12.0
    try:
        while all(name == old for name, _ in starts(log)[before:]):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.02)
        return before
    finally:
        os.kill(pids[old], signal.SIGCONT)


def starts(log: Path) -> list[tuple[str, int]]:
    lines = [line.split() for line in log.read_text().splitlines()]
    return [(line[0], int(line[2])) for line in lines if line[1] == "start"]


def is_done(flows: DbosFlows, flow_id: str) -> bool:
    return flows.state(flow_id) == "done"


def longer_than(log: Path, length: int) -> bool:
    return len(starts(log)) > length


def test_a_frozen_worker_finds_itself_fenced(tmp_path: Path) -> None:
    frozen_past_their_leases(
        f"sqlite:///{tmp_path}/runtime.db", tmp_path, times=1, steps=15, pause_s=0.1
    )


@pytest.mark.nightly
def test_so_does_it_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    frozen_past_their_leases(postgres_url, tmp_path, times=2)


@pytest.mark.nightly
def test_a_hundred_frozen_workers(tmp_path: Path, postgres_url: str) -> None:
    frozen_past_their_leases(postgres_url, tmp_path, times=100)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ANSWER_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)

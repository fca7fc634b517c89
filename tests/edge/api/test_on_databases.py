"""The API over real tables: the kill switch under load, and one act for one key."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from predator.adapters.approvals.sql import SqlApprovals
from predator.adapters.cycles.sql import SqlCycles
from predator.adapters.database.engine import Database
from predator.adapters.flags.sql import SqlFlags
from predator.adapters.limits.sql import SqlLimits
from predator.adapters.overrides.sql import SqlOverrides
from predator.adapters.replies.sql import SqlReplies
from predator.adapters.slots.sql import SqlSlots
from predator.adapters.tokens.sql import SqlTokens
from predator.domain.errors import PredatorError
from predator.edge.api.guard import PREFIX
from predator.policy.flags import flag_context
from tests.edge.api.requests_of import BECAUSE
from tests.edge.api.served import Served, app_of
from tests.loop.operator_world import World

ACKNOWLEDGED_S = 1.0
STOPS = 5


@pytest.fixture
def served(tmp_path: Path, database: Database) -> Iterator[Served]:
    stores = {
        "flags": SqlFlags(database),
        "approvals": SqlApprovals(database),
        "overrides": SqlOverrides(database),
        "limits": SqlLimits(database),
        "slots": SqlSlots(database),
        "cycles": SqlCycles(database),
        "tokens": SqlTokens(database),
        "replies": SqlReplies(database),
    }
    served = Served(tmp_path, world=World(tmp_path, stores=stores))
    with served.client:
        yield served


def forever(work: Callable[[], object], done: threading.Event) -> int:
    times = 0
    while not done.is_set():
        work()
        times += 1
    return times


@pytest.mark.flaky(reruns=3, reruns_delay=1)
def test_a_stop_under_load_is_acknowledged_within_a_second_and_holds(served: Served) -> None:
    world, done = served.world, threading.Event()
    effects: list[float] = []
    world.operator.start("all", actor="ann", reason="begin")

    def effect() -> None:
        # As the loop: the flags are read before each effect. The moment is that of the question.
        asked = time.monotonic()
        rules = world.desk.contours["local"]
        if not flag_context(world.desk.flags.rows(), "local", rules.defaults)["kill_switch"]:
            effects.append(asked)

    def write() -> None:
        body = {"enabled": True, **BECAUSE}
        assert served.call("PUT", "/flags/local/ab_testing", body).status_code == 200
        assert served.post("/cycles", {"contour": "local", **BECAUSE}).status_code == 202

    def read() -> None:
        assert served.get("/state?contour=local").status_code == 200

    acknowledged: list[tuple[float, float]] = []
    with ThreadPoolExecutor(12) as pool:
        load = [
            pool.submit(forever, work, done) for work in (effect,) * 3 + (write,) * 4 + (read,) * 4
        ]
        try:
            for _ in range(STOPS):
                time.sleep(0.15)
                asked = time.monotonic()
                assert served.post("/stop").status_code == 200
                answered = time.monotonic()
                acknowledged.append((asked, answered))
                time.sleep(0.1)
                resumed = time.monotonic()
                assert not [at for at in effects if answered < at < resumed]
                assert served.post("/start", {"contour": "all", **BECAUSE}).status_code == 200
        finally:
            done.set()
    assert all(task.result() > 0 for task in load)
    assert effects
    assert max(answered - asked for asked, answered in acknowledged) <= ACKNOWLEDGED_S


def test_a_stop_survives_a_restart(served: Served, tmp_path: Path, database: Database) -> None:
    assert served.post("/stop").status_code == 200
    again = SqlFlags(database)
    assert [(row.environment, row.enabled) for row in again.rows()] == [("all", True)]


def test_a_stop_needs_neither_flows_nor_journal_nor_notices(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise PredatorError("down")

    for store in (served.world.desk.flows, served.world.desk.notifier):
        for name in ("enqueue", "send", "status", "list", "notify", "sent"):
            if hasattr(store, name):
                monkeypatch.setattr(store, name, down)
    served.world.desk.journal.write_bytes(b"not a journal\n")
    answer = served.post("/stop", {"contour": "local", "reason": "smoke"})
    assert answer.status_code == 200
    assert answer.json()["recorded"] is False
    assert served.world.stop_row("local") is True


def test_a_key_is_one_act_for_two_processes_at_once(served: Served) -> None:
    other = TestClient(app_of(served.world))
    headers = {"Authorization": f"Bearer {served.secret}", "Idempotency-Key": "k"}
    body = {"contour": "local", **BECAUSE}
    with other, ThreadPoolExecutor(10) as pool:
        for client in (served.client, other):  # FastAPI builds a route when it is first asked for
            assert client.post(f"{PREFIX}/cycles", json=body).status_code == 401
        clients = [served.client, other] * 5
        answers = list(
            pool.map(
                lambda client: client.post(f"{PREFIX}/cycles", json=body, headers=headers), clients
            )
        )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.text for answer in answers}) == 1
    assert len(served.world.desk.cycles.list()) == 1

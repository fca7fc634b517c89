"""What a worker is to its process and its database."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from predator.adapters.runtime.database import open_engine
from predator.adapters.runtime.dbos_client import DbosFlows
from predator.adapters.runtime.dbos_worker import DbosWorker
from predator.adapters.runtime.leases import Presence
from predator.domain.errors import ConflictError, InputError, PredatorError
from predator.ports.runtime import FlowFenced, FlowStopped, Json, Runtime

ANSWER_S = 60.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runtime.db"


def sleeping(runtime: Runtime, _: Json) -> Json:
    return runtime.sleep(3600.0)


def waiting(runtime: Runtime, _: Json) -> Json:
    return runtime.wait("topic", 3600.0)


def quick(runtime: Runtime, arguments: Json) -> Json:
    return runtime.step("work", lambda: arguments)


def test_closing_does_not_wait_and_the_step_in_flight_is_run_again(url: str) -> None:
    held, ran = threading.Event(), []

    def work() -> Json:
        ran.append("work")
        held.wait(30)
        return len(ran)

    def working(runtime: Runtime, _: Json) -> Json:
        try:
            return [runtime.step("work", work), runtime.step("next", lambda: ran.append("next"))]
        except FlowStopped:
            ran.append("stopped")
            raise

    flows = {"sleeping": sleeping, "waiting": waiting, "working": working}
    worker = DbosWorker(url, "w1", flows)
    handles = [worker.run(name, name, None) for name in flows]
    until(lambda: ran == ["work"])
    started = time.monotonic()
    worker.close()
    worker.close()
    assert time.monotonic() - started < 30.0
    with pytest.raises(PredatorError, match="put aside"):
        handles[0].result(1.0)
    held.set()
    until(lambda: ran == ["work", "stopped"])
    with DbosWorker(url, "w1", flows) as worker:
        assert worker.run("working", "working", None).result(ANSWER_S)[0] == 3
        with pytest.raises(TimeoutError, match="'sleeping' is still"):
            worker.run("sleeping", "sleeping", None).result(0.0)
    assert ran == ["work", "stopped", "work", "next"]


STUCK = """
import sys, time
from predator.adapters.runtime.dbos_worker import DbosWorker
flow = lambda runtime, _: runtime.step("work", lambda: time.sleep(60))
with DbosWorker(sys.argv[1], "w1", {"flow": flow}) as worker:
    worker.run("flow", "f1", None)
    time.sleep(0.2)
"""


def test_a_process_ends_although_a_step_does_not(url: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", STUCK, url],
        capture_output=True, text=True, timeout=30, check=True, env=dict(os.environ),
    )  # fmt: skip
    assert (ran.stdout, ran.stderr) == ("", "")


def test_one_worker_a_process_and_one_process_an_id(url: str) -> None:
    with DbosWorker(url, "w1", {"quick": quick}) as worker:
        with pytest.raises(ConflictError, match="runs a worker already"):
            DbosWorker(url, "w2", {})
        with pytest.raises(ConflictError, match="'w1' is running already"):
            Presence(open_engine(url), "w1", timeout_s=0.1)
        Presence(open_engine(url), "w2").release()
        assert worker.run("quick", "f1", 7).result(ANSWER_S) == 7
        with pytest.raises(InputError, match="no flow named 'other'"):
            worker.run("other", "f2", 7)
    with DbosWorker(url, "w1", {"quick": quick}) as worker:
        assert worker.run("quick", "f1", 8).result(ANSWER_S) == 7


def test_one_process_an_id_on_postgresql_too(postgres_url: str) -> None:
    with DbosWorker(postgres_url, "w1", {}):
        engine = open_engine(postgres_url)
        with pytest.raises(ConflictError, match="'w1' is running already"):
            Presence(engine, "w1", timeout_s=0.1)
        engine.dispose()


@pytest.mark.parametrize("when", ["before a step", "in a step", "emit", "sleep", "wait"])
def test_a_copy_that_lost_its_flow_does_nothing_more(url: str, tmp_path: Path, when: str) -> None:
    ended: list[type[BaseException]] = []

    def execute(statement: str) -> list[tuple[str]]:
        with closing(sqlite3.connect(tmp_path / "runtime.db", timeout=10)) as connection:
            found = connection.execute(statement).fetchall()
            connection.commit()
        return found

    def lose() -> None:
        execute("UPDATE workflow_status SET owner_xid = 'somebody else'")

    def flow(runtime: Runtime, _: Json) -> Json:
        runtime.step("first", lambda: None)
        try:
            match when:
                case "before a step":
                    lose()
                    runtime.step("second", lambda: ended.append(ValueError))
                case "in a step":
                    runtime.step("second", lose)
                case "emit":
                    lose()
                    runtime.emit("second", 1)
                case "sleep":
                    threading.Timer(0.1, lose).start()
                    runtime.sleep(60.0)
                case "wait":
                    threading.Timer(0.1, lose).start()
                    runtime.wait("topic", 60.0)
        except BaseException as error:
            ended.append(type(error))
            raise

    with DbosWorker(url, "w1", {"flow": flow}) as worker:
        worker.run("flow", "f1", None)
        until(lambda: ended == [FlowFenced])
        names = {name for (name,) in execute("SELECT function_name FROM operation_outputs")}
        assert names <= {"first", "sleep", "DBOS.sleep"}
        [(state,)] = execute("SELECT status FROM workflow_status")
        assert state == "PENDING"


def test_nothing_is_pickled(url: str, tmp_path: Path) -> None:
    def flow(runtime: Runtime, arguments: Json) -> Json:
        runtime.step("work", lambda: arguments)
        runtime.emit("key", "value")
        runtime.wait("topic", 0.0)
        runtime.sleep(0.0)
        with pytest.raises(PredatorError):
            runtime.step("fail", lambda: {}[arguments])
        raise ValueError("no")

    with DbosWorker(url, "w1", {"flow": flow}) as worker:
        worker.flows.enqueue("flow", "f1", "a", queue="nobody's")
        worker.flows.send("f1", "topic", {"a": 1}, key="k")
        with pytest.raises(PredatorError):
            worker.run("flow", "f2", "a").result(ANSWER_S)
    kinds = set()
    with closing(sqlite3.connect(tmp_path / "runtime.db")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            rows = connection.execute(f'SELECT * FROM "{table}"')  # noqa: S608
            columns = [column[0] for column in rows.description]
            for row in rows.fetchall():
                kinds.add(dict(zip(columns, row, strict=True)).get("serialization"))
                assert not [value for value in row if str(value).startswith("gA")]
    # DBOS keeps the ends of its waits as portable JSON, whatever serializer there is.
    assert kinds == {None, "predator_json", "portable_json"}


def test_postgresql_is_left_as_it_was_but_for_two_schemas(postgres_url: str) -> None:
    def names(query: str) -> set[str]:
        engine = open_engine(postgres_url)
        with engine.connect() as connection:
            found = {str(row[0]) for row in connection.execute(text(query))}
        engine.dispose()
        return found

    databases = "SELECT datname FROM pg_database WHERE datname NOT LIKE 'test%'"
    others = (
        "SELECT table_schema FROM information_schema.tables"
        " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
    )
    before = names(databases)
    with DbosWorker(postgres_url, "w1", {"quick": quick}) as worker:
        worker.run("quick", "f1", 1).result(ANSWER_S)
    assert names(databases) == before
    assert names(others) == {"dbos", "runtime"}


def test_a_client_needs_no_worker(url: str) -> None:
    flows = DbosFlows(url)
    flows.enqueue("quick", "f1", {"n": 1})
    flows.send("f1", "topic", 1, key="k")
    status = flows.status("f1")
    assert status is not None
    assert status.state == "queued"
    flows.close()
    with DbosWorker(url, "w1", {"quick": quick}) as worker:
        assert worker.run("quick", "f1", None).result(ANSWER_S) == {"n": 1}


@pytest.mark.parametrize(
    "wrong",
    ["", "nothing", "sqlite://", "sqlite:///:memory:", "mysql://a/b", "sqlite:////proc/x/y"],
)
def test_an_address_that_cannot_be_used_is_refused(wrong: str) -> None:
    with pytest.raises(InputError):
        DbosFlows(wrong)
    with pytest.raises(InputError):
        DbosWorker(wrong, "w1", {})


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    address = f"postgresql://me:secret@/nobody?host={tmp_path}"
    for start in (DbosFlows, partial(DbosWorker, executor_id="w1", flows={})):
        with pytest.raises(PredatorError, match="the runtime's database cannot be used") as raised:
            start(address)
        assert "secret" not in str(raised.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "runtime.db").write_text("something else " * 100)
    with pytest.raises(InputError, match="not a database"):
        DbosFlows(f"sqlite:///{tmp_path}/runtime.db")


def test_nothing_is_said_while_all_is_well(
    url: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    def failing(runtime: Runtime, _: Json) -> Json:
        raise InputError("no")

    with caplog.at_level(logging.WARNING):
        with DbosWorker(url, "w1", {"quick": quick, "failing": failing}) as worker:
            worker.run("quick", "f1", 1).result(ANSWER_S)
            worker.flows.enqueue("quick", "f2", 1)
            worker.flows.enqueue("quick", "f2", 1)
            with pytest.raises(InputError):
                worker.run("failing", "f3", 1).result(ANSWER_S)
        assert [record.message for record in caplog.records] == []
    assert capfd.readouterr() == ("", "")


def test_a_queue_runs_as_many_at_once_as_it_may(url: str) -> None:
    running, most = [0], [0]
    lock = threading.Lock()

    def flow(runtime: Runtime, _: Json) -> Json:
        def work() -> None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.1)
            with lock:
                running[0] -= 1

        return runtime.step("work", work)

    with DbosWorker(url, "w1", {"flow": flow}, queues={"cycles": 2}, poll_s=0.02) as worker:
        for number in range(6):
            worker.flows.enqueue("flow", f"f{number}", None)
        for number in range(6):
            worker.run("flow", f"f{number}", None).result(ANSWER_S)
    assert most == [2]


def test_a_worker_leaves_the_queues_of_others_alone(url: str) -> None:
    with DbosWorker(url, "w1", {"quick": quick}) as worker:
        worker.flows.enqueue("quick", "f1", 1)
        assert worker.run("quick", "f1", 1).result(ANSWER_S) == 1
    with DbosWorker(url, "w2", {"quick": quick}, queues={}, poll_s=0.02) as worker:
        worker.flows.enqueue("quick", "f2", 2)
        assert worker.run("quick", "f3", 3).result(ANSWER_S) == 3
        time.sleep(0.3)
        assert worker.flows.state("f2") == "queued"


def test_a_flow_goes_on_once_its_database_takes_records_again(url: str, tmp_path: Path) -> None:
    ran = []

    def flow(runtime: Runtime, _: Json) -> Json:
        try:
            first = runtime.step("first", lambda: ran.append("first"))
            return [first, runtime.step("second", lambda: ran.append("second"))]
        except Exception:
            ran.append("swallowed")
            raise

    def execute(statement: str) -> None:
        with closing(sqlite3.connect(tmp_path / "runtime.db", timeout=10)) as connection:
            connection.execute(statement)
            connection.commit()

    with DbosWorker(url, "w1", {"flow": flow}, poll_s=0.05) as worker:
        execute(
            "CREATE TRIGGER full BEFORE INSERT ON operation_outputs"
            " BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
        handle = worker.run("flow", "f1", None)
        until(lambda: len(ran) >= 2)
        execute("DROP TRIGGER full")
        assert handle.result(ANSWER_S) == [None, None]
    assert set(ran[:-1]) == {"first"}
    assert ran[-1] == "second"


def test_a_message_wakes_a_flow_at_once(url: str) -> None:
    def flow(runtime: Runtime, _: Json) -> Json:
        sent_at = runtime.wait("topic", 60.0) or 0.0
        return time.time() - float(sent_at)

    with DbosWorker(url, "w1", {"flow": flow}) as worker:
        handle = worker.run("flow", "f1", None)
        time.sleep(0.5)
        worker.flows.send("f1", "topic", time.time(), key="k")
        assert handle.result(ANSWER_S) < 30.0


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ANSWER_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)

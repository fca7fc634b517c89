"""What is acknowledged is there after a crash; what fails is told to the one who sent it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from predator.domain.documents import Document
from predator.domain.errors import PredatorError
from predator.search.serving.store import Statement, Store, open_database

HOSTILE = "'; DROP TABLE documents; -- \x00 \ud800 \u202e 😀"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "platform.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    store = Store(path)
    yield store
    store.close()


def rating(query: str, value: int = 5) -> Statement:
    return "INSERT INTO ratings VALUES (?,?,?)", (query, 0.0, value)


def ratings(path: Path) -> dict[str, int]:
    connection = open_database(path)
    try:
        return dict(connection.execute("SELECT query_id, rating FROM ratings"))
    finally:
        connection.close()


def test_what_is_acknowledged_can_be_read_by_others_at_once(store: Store, path: Path) -> None:
    store.write([rating("a", 3)]).result(5)
    assert ratings(path) == {"a": 3}


SCRIPT = """
import os, sys
from pathlib import Path
from predator.search.serving.store import Store
store = Store(Path(sys.argv[1]))
for i in range(300):
    future = store.write([("INSERT INTO ratings VALUES (?,?,?)", (f"q{i}", 0.0, 1))])
    if i % 7 == 0:
        future.result(5)
        print(i, flush=True)
    if i == 250:
        os.kill(os.getpid(), 9)
"""


def test_what_is_acknowledged_survives_a_kill(path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == -9
    acknowledged = max(int(line) for line in run.stdout.split())
    kept = ratings(path)
    assert {f"q{i}" for i in range(acknowledged + 1)} <= set(kept)


def test_the_writer_forces_its_groups_to_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    commit = Store._commit

    def spy(self: Store, connection: sqlite3.Connection, group: object) -> None:
        asked.append(connection.execute("PRAGMA synchronous").fetchone()[0])
        commit(self, connection, group)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "_commit", spy)
    store = Store(path)
    store.write([rating("a")]).result(5)
    store.close()
    assert asked == [2]  # FULL: what is acknowledged survives a power cut


def test_many_writers_share_the_cost_and_lose_nothing(store: Store, path: Path) -> None:
    def send(worker: int) -> list[Future[None]]:
        return [store.write([rating(f"{worker}-{i}", i % 5 + 1)]) for i in range(200)]

    with ThreadPoolExecutor(8) as pool:
        futures = [future for sent in pool.map(send, range(8)) for future in sent]
    for future in futures:
        future.result(10)
    kept = ratings(path)
    assert len(kept) == 1600
    assert kept["3-7"] == 3


def test_all_of_a_callers_statements_are_kept_or_none(store: Store, path: Path) -> None:
    store.write([rating("taken")]).result(5)
    failed = store.write([rating("new"), rating("taken")])
    with pytest.raises(sqlite3.IntegrityError):
        failed.result(5)
    assert set(ratings(path)) == {"taken"}


def test_nobody_pays_for_what_somebody_else_sent(store: Store, path: Path) -> None:
    store.write([rating("taken")]).result(5)
    futures = [store.write([rating("taken" if i % 10 == 5 else f"q{i}")]) for i in range(300)]
    failures = [i for i, future in enumerate(futures) if future.exception(10) is not None]
    assert failures == list(range(5, 300, 10))
    assert len(ratings(path)) == 271


@pytest.mark.parametrize(
    "statement",
    [
        ("INSERT INTO ratings VALUES (?,?,?)", ("\ud800", 0.0, 1)),
        ("INSERT INTO ratings VALUES (?,?,?)", ("big", 0.0, 2**80)),
        ("INSERT INTO ratings VALUES (?,?,?)", ("short",)),
        ("INSERT INTO ratings VALUES (?,?,?)", ("object", 0.0, object())),
        ("NOT SQL", ()),
        ("INSERT INTO nowhere VALUES (1)", ()),
    ],
    ids=["surrogate", "huge number", "too few", "object", "no sql", "no table"],
)
def test_what_sqlite_cannot_hold_does_not_stop_the_writer(
    store: Store, path: Path, statement: Statement
) -> None:
    failed = store.write([statement])
    assert failed.exception(5) is not None
    store.write([rating("after")]).result(5)
    assert ratings(path) == {"after": 5}


def test_a_caller_who_leaves_does_not_stop_the_writer(store: Store, path: Path) -> None:
    futures = [store.write([rating(f"q{i}")]) for i in range(200)]
    for future in futures[::2]:
        future.cancel()
    store.write([rating("after")]).result(5)
    assert len(ratings(path)) == 201


def test_closing_writes_what_is_queued_and_refuses_the_rest(path: Path) -> None:
    store = Store(path)
    futures = [store.write([rating(f"q{i}")]) for i in range(500)]
    store.close()
    assert all(future.done() and future.exception() is None for future in futures)
    assert len(ratings(path)) == 500
    with pytest.raises(PredatorError, match="closed"):
        store.write([rating("late")]).result(5)
    store.close()


def test_writers_at_the_moment_of_closing_all_get_an_answer(path: Path) -> None:
    store = Store(path)
    futures: list[Future[None]] = []

    def send(worker: int) -> None:
        for i in range(300):
            futures.append(store.write([rating(f"{worker}-{i}")]))

    workers = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
    for worker in workers:
        worker.start()
    store.close()
    for worker in workers:
        worker.join()
    kept = sum(future.exception(5) is None for future in futures)
    assert len(futures) == 1200
    assert len(ratings(path)) == kept


def document(number: int, text: str = "text") -> Document:
    return Document(f"doc-{number}", "title", text, "category", "en", ("entity", "other"))


def test_documents_come_back_whole_in_the_order_of_arrival(store: Store) -> None:
    for batch in range(3):
        numbers = range(batch * 10, batch * 10 + 10)
        store.put_documents([document(9 - n) for n in numbers], "queued", 5.0).result(5)
    store.put_documents([document(100)], "queued", 4.0).result(5)
    found = list(store.documents("queued"))
    assert [d.id for d in found] == ["doc-100", *(f"doc-{9 - n}" for n in range(30))]
    assert found[0] == document(100)
    assert list(store.documents("indexed")) == []


def test_a_document_has_one_status_and_its_last_text(store: Store) -> None:
    store.put_documents([document(1), document(2)], "queued", 1.0)
    store.put_documents([document(1, "new")], "indexed", 2.0)
    store.put_documents([document(2)], "quarantined", 2.0).result(5)
    assert [d.text for d in store.documents("indexed")] == ["new"]
    assert list(store.documents("queued")) == []


def test_documents_are_still_there_after_a_restart(path: Path) -> None:
    store = Store(path)
    store.put_documents([document(1)], "queued", 1.0).result(5)
    store.close()
    again = Store(path)
    assert list(again.documents("queued")) == [document(1)]
    again.close()


def test_hostile_text_is_text(store: Store) -> None:
    odd = Document("id", HOSTILE, HOSTILE)
    store.put_documents([odd], "queued", 1.0).result(5)
    assert list(store.documents("queued")) == [odd]


def test_log_lines_are_kept_short(store: Store, path: Path) -> None:
    store.log(1.0, "etl", "warning", "empty", "x" * 10_000)
    store.write([rating("after")]).result(5)
    connection = open_database(path)
    (line,) = connection.execute("SELECT fingerprint, length(message) FROM logs").fetchall()
    connection.close()
    assert line == ("empty", 500)


def test_a_served_query_is_known(store: Store) -> None:
    values = ("q1", 0.0, "text", None, "user", "release", "exp", "baseline", "[]", 1.0)
    store.write([("INSERT INTO ubi_queries VALUES (?,?,?,?,?,?,?,?,?,?)", values)]).result(5)
    assert store.trial_of("q1") == ("exp", "baseline")
    assert store.trial_of("q2") is None

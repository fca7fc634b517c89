"""What the platform keeps of its own work: documents, UBI queries and events, log lines.

One SQLite file in WAL mode: the platform writes, the loop reads beside it. Writes are grouped:
a caller may wait for its group to be on disk, and only then acknowledge.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import Any

from predator.domain.documents import Document
from predator.domain.errors import PredatorError

_TABLES = """
CREATE TABLE IF NOT EXISTS documents (
  id TEXT PRIMARY KEY, body TEXT NOT NULL, status TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS ubi_queries (
  query_id TEXT PRIMARY KEY, at REAL NOT NULL, user_query TEXT NOT NULL, client_id TEXT,
  user TEXT NOT NULL, release TEXT NOT NULL, experiment_id TEXT NOT NULL, variant TEXT NOT NULL,
  hits TEXT NOT NULL, latency_ms REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS ubi_queries_at ON ubi_queries(at);
CREATE TABLE IF NOT EXISTS ubi_query_attributes (
  query_id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ubi_events (
  query_id TEXT NOT NULL, at REAL NOT NULL, action_name TEXT NOT NULL, ordinal INTEGER,
  object_id TEXT, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS ubi_events_query ON ubi_events(query_id);
CREATE TABLE IF NOT EXISTS failures (
  at REAL NOT NULL, user TEXT NOT NULL, release TEXT NOT NULL, experiment_id TEXT NOT NULL,
  variant TEXT NOT NULL, error TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS failures_at ON failures(at);
CREATE TABLE IF NOT EXISTS ratings (
  query_id TEXT PRIMARY KEY, at REAL NOT NULL, rating INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS logs (
  at REAL NOT NULL, component TEXT NOT NULL, level TEXT NOT NULL, fingerprint TEXT NOT NULL,
  message TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS logs_at ON logs(at);
"""

Statement = tuple[str, Sequence[Any]]
Group = tuple[Sequence[Statement], Future[None]]
"""What one caller wants written together, and the promise made to that caller."""


def open_database(path: Path) -> sqlite3.Connection:
    """A connection in WAL mode with the tables in place."""
    connection = sqlite3.connect(path, timeout=30, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.executescript(_TABLES)
    return connection


class Store:
    """A background writer over the database; safe to call from any thread."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        open_database(path).close()
        self._queue: queue.Queue[Group | None] = queue.Queue()
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._thread.start()

    def write(self, statements: Sequence[Statement]) -> Future[None]:
        """Queue ``statements``, all or none of which are kept.

        The future resolves once they are on disk, and fails with what SQLite says, or with
        ``PredatorError`` where the store is closed.
        """
        done: Future[None] = Future()
        # The writer owes an answer even where its caller has gone: a cancelled one would stop it.
        done.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                done.set_exception(PredatorError("the store is closed, nothing more is written"))
            else:
                self._queue.put((statements, done))
        return done

    def put_documents(self, documents: Sequence[Document], status: str, at: float) -> Future[None]:
        """Insert or replace documents with a status: ``queued``, ``indexed``, ``quarantined``."""
        return self.write(
            [
                (
                    "INSERT OR REPLACE INTO documents VALUES (?,?,?,?)",
                    (d.id, json.dumps(asdict(d)), status, at),
                )
                for d in documents
            ]
        )

    def documents(self, status: str) -> Iterator[Document]:
        """Documents of one status in the order of arrival."""
        connection = open_database(self._path)
        try:
            rows = connection.execute(
                "SELECT body FROM documents WHERE status=? ORDER BY at, rowid", (status,)
            )
            for (body,) in rows:
                value = json.loads(body)
                yield Document(**{**value, "entities": tuple(value.get("entities", ()))})
        finally:
            connection.close()

    def log(self, at: float, component: str, level: str, fingerprint: str, message: str) -> None:
        """Keep a technical log line under the fingerprint that counts it."""
        self.write(
            [
                (
                    "INSERT INTO logs VALUES (?,?,?,?,?)",
                    (at, component, level, fingerprint, message[:500]),
                )
            ]
        )

    def trial_of(self, query_id: str) -> tuple[str, str] | None:
        """Experiment and variant of a search that was served (empty outside of one), or none."""
        connection = open_database(self._path)
        try:
            found = connection.execute(
                "SELECT experiment_id, variant FROM ubi_queries WHERE query_id=?", (query_id,)
            ).fetchone()
            return None if found is None else (str(found[0]), str(found[1]))
        finally:
            connection.close()

    def close(self) -> None:
        """Write what is queued, then stop."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join(timeout=30)

    def _write(self) -> None:
        connection = open_database(self._path)
        # What is acknowledged survives a power cut too; groups share the cost.
        connection.execute("PRAGMA synchronous=FULL")
        stop = False
        while not stop:
            item = self._queue.get()
            group: list[Group] = []
            while True:
                if item is None:
                    stop = True
                else:
                    group.append(item)
                if stop or len(group) >= 256:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if group:
                self._commit(connection, group)
        connection.close()

    def _commit(self, connection: sqlite3.Connection, group: Sequence[Group]) -> None:
        try:
            with connection:
                for statements, _ in group:
                    for sql, values in statements:
                        connection.execute(sql, values)
        except Exception as error:
            # Beside sqlite3.Error: a number or a character that SQLite cannot hold.
            if len(group) == 1:
                group[0][1].set_exception(error)
                return
            for one in group:  # nobody pays for what somebody else sent
                self._commit(connection, [one])
        else:
            for _, done in group:
                done.set_result(None)

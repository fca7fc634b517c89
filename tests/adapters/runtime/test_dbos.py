"""DBOS keeps the contract of the runtime, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from predator.adapters.runtime.database import open_engine
from predator.adapters.runtime.dbos_worker import DbosWorker
from predator.ports.runtime import Flow, Json
from tests.contracts.runtime import ANSWER_S, Bench, RuntimeContract
from tests.postgres import Server

TABLES = (
    "SELECT schemaname || '.' || tablename FROM pg_tables"
    " WHERE schemaname IN ('dbos', 'runtime') AND tablename <> 'dbos_migrations'"
)


class DbosBench:
    def __init__(self, worker: DbosWorker) -> None:
        self.worker, self.flows = worker, worker.flows

    def run(self, flow: str, flow_id: str, arguments: Json = None) -> Json:
        return self.worker.run(flow, flow_id, arguments).result(ANSWER_S)

    def later(self, seconds: float, happening: Callable[[], object]) -> None:
        threading.Timer(seconds, happening).start()


class DbosContract(RuntimeContract):
    url: str

    @contextmanager
    def bench(self, flows: Mapping[str, Flow]) -> Iterator[Bench]:
        with DbosWorker(self.url, "w1", flows, queues={"cycles": 8}, poll_s=0.03) as worker:
            yield DbosBench(worker)

    def put_aside(self, flow: Flow, flow_ids: Sequence[str], seconds: float) -> None:
        with self.bench({"demo": flow}) as bench:
            for flow_id in flow_ids:
                bench.flows.enqueue("demo", flow_id, None)
            time.sleep(seconds)


class TestDbosOnSqlite(DbosContract):
    @pytest.fixture(autouse=True)
    def _database(self, tmp_path: Path) -> None:
        self.url = f"sqlite:///{tmp_path}/runtime.db"


@pytest.fixture(scope="module")
def address(postgres_server: Server) -> Iterator[str]:
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)


class TestDbosOnPostgres(DbosContract):
    @pytest.fixture(autouse=True)
    def _database(self, address: str) -> Iterator[None]:
        """The tables are made once and emptied after each test, which is faster."""
        self.url = address
        yield
        engine = open_engine(address)
        with engine.begin() as connection:
            found = connection.execute(text(TABLES)).scalars().all()
            connection.execute(text(f"TRUNCATE {', '.join(found)} CASCADE"))
        engine.dispose()

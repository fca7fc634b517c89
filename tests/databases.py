"""The governance database for tests: a fresh one a test, on SQLite and on PostgreSQL.

SQLite's is a copy of a file that was migrated once, PostgreSQL's one that is emptied before each
test, so that a test pays milliseconds. A ``conftest.py`` makes the fixtures known by importing
them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from predator.adapters.database.engine import Database, open_database
from predator.adapters.database.tables import metadata
from tests.postgres import Server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file that nobody has open."""
    file = tmp_path_factory.mktemp("template") / "optimizer.db"
    open_database(f"sqlite:///{file}").close()
    return file


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Server) -> str:
    """The name of a migrated PostgreSQL database."""
    name = postgres_server.create()
    open_database(postgres_server.url(name)).close()
    return name


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a fresh SQLite database at head."""
    file = shutil.copy(sqlite_template, tmp_path / "optimizer.db")
    return f"sqlite:///{file}"


@pytest.fixture
def postgres_head_url(postgres_server: Server, postgres_template: str) -> str:
    """The URL of an empty PostgreSQL database at head; a test must leave its schema as it is."""
    tables = [f"DELETE FROM {table.name};" for table in reversed(metadata.sorted_tables)]  # noqa: S608
    postgres_server.execute(
        postgres_template, "SET session_replication_role = replica;" + "".join(tables)
    )
    return postgres_server.url(postgres_template)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """An empty governance database at head: each test runs on both back ends."""
    kind = {"sqlite": "sqlite_url", "postgresql": "postgres_head_url"}[request.param]
    with open_database(request.getfixturevalue(kind)) as opened:
        yield opened


@pytest.fixture
def own_database(database_url: str) -> Iterator[Database]:
    """A database of the test's own, on both back ends: it may break the schema."""
    with open_database(database_url) as opened:
        yield opened

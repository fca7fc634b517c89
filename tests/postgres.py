"""A real PostgreSQL for the tests: started once, a fresh database a test, gone at the end.

A ``conftest.py`` makes the fixtures known by importing them. They need the server's programs
(Debian's package ``postgresql``; no cluster of the system is touched). Where those are not
installed, tests that ask for a database are skipped, and fail on a build server.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

START_S = 60.0
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}
# The server ends, and its folder goes, when the pipe to its shell closes: however the tests end.
# It has a session of its own, so that a ctrl-C does not take the shell before its work is done.
LIFELINE = 'exec 3<&0; "$@" </dev/null 3<&- & read _ <&3; kill -QUIT $!; wait; rm -rf "$ROOM"'


class Server:
    """One server on a unix socket in a folder of its own."""

    def __init__(self, programs: Path) -> None:
        self._numbers = itertools.count(1)
        # Not in pytest's folder: the path of a socket must be short.
        self._room = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._log = self._room / "log"
        who: dict[str, Any] = {}
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root.
            user = _unprivileged()
            os.chown(self._room, user.pw_uid, user.pw_gid)
            who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        data = self._room / "data"
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "ROOM": str(self._room)}
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"],
            env=environment, cwd="/", check=True, capture_output=True, **who,
        )  # fmt: skip
        options = [part for item in OPTIONS.items() for part in ("-c", "=".join(item))]
        command = [str(programs / "postgres"), "-D", str(data), "-k", str(self._room), *options]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", LIFELINE, "sh", *command],
                env=environment, cwd="/", stdin=subprocess.PIPE, stdout=log, stderr=log,
                start_new_session=True, **who,
            )  # fmt: skip
        self._wait()

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._room}"

    def create(self, template: str = "template0") -> str:
        """A new database, a copy of ``template``; returns its name."""
        name = f"test_{next(self._numbers)}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def drop(self, database: str) -> None:
        """Take a database away, whoever is still connected."""
        self._run("DROP DATABASE {} WITH (FORCE)", database)

    def execute(self, database: str, statements: str) -> None:
        """Run statements in a database as the superuser."""
        with self._connect(database) as connection:
            connection.execute(statements.encode())

    def stop(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(START_S)

    def _run(self, statement: LiteralString, *names: str) -> None:
        with self._connect() as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _connect(self, database: str = "postgres") -> psycopg.Connection:
        return psycopg.connect(
            host=str(self._room), user="postgres", dbname=database, autocommit=True
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while True:
            try:
                self._connect().close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    said = self._log.read_text() if self._log.exists() else ""
                    self.stop()
                    raise RuntimeError(f"PostgreSQL did not start: {said}") from None
                time.sleep(0.02)


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")


def _programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``: in PATH, or where Debian keeps the newest."""
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    newest_first = sorted(debian, key=lambda path: float(path.parent.name), reverse=True)
    found = [Path(which).resolve().parent for which in [shutil.which("initdb")] if which]
    for folder in [*found, *newest_first]:
        if os.access(folder / "initdb", os.X_OK) and os.access(folder / "postgres", os.X_OK):
            return folder
    return None


@cache
def _server() -> Server | None:
    programs = _programs()
    return Server(programs) if programs else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """The server; started by the first test that asks."""
    server = _server()
    if server is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """The URL (``postgresql+psycopg://…``) of a fresh, empty database."""
    name = postgres_server.create()
    yield postgres_server.url(name)
    postgres_server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh, empty database: each test runs on both back ends."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path')}/optimizer.db"
    return str(request.getfixturevalue("postgres_url"))

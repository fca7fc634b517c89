"""The database opens at once, for many at once, and says plainly when it cannot."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from predator.adapters.database import urls
from predator.adapters.database.engine import Database, open_database
from predator.adapters.database.schema import HEAD, MIGRATIONS, VERSION_TABLE, upgrade
from predator.adapters.database.tables import metadata
from predator.adapters.flags.sql import SqlFlags
from predator.adapters.slots.sql import SqlSlots
from predator.domain.errors import InputError, PredatorError
from predator.domain.governance import Flag

PUT = {"actor": "olena", "reason": "drill", "at": 1.0}


def test_the_first_opening_makes_the_schema(database_url: str) -> None:
    with open_database(database_url) as database:
        assert database.current == database.head == HEAD
        with database.reading() as connection:
            context = MigrationContext.configure(
                connection,
                opts={
                    "compare_server_default": database.sqlite,
                    "include_object": lambda _o, name, *_r: name != VERSION_TABLE,
                },
            )
            assert compare_metadata(context, metadata) == []


def test_the_revisions_are_one_line_and_head_is_its_end() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    numbers = [revision.revision for revision in script.walk_revisions()]
    assert script.get_heads() == [HEAD] == numbers[:1]
    assert numbers[::-1] == [f"{number:04d}" for number in range(1, len(numbers) + 1)]


def test_every_older_schema_comes_to_head_with_what_it_holds(database_url: str) -> None:
    with open_database(database_url) as database:
        if not database.sqlite:
            with database.writing("test") as connection:
                connection.exec_driver_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    for revision in (f"{number:04d}" for number in range(1, int(HEAD))):
        url = database_url.replace("optimizer.db", f"{revision}.db")
        database = Database(urls.parse(url), busy_timeout_s=30)
        with database, database.writing("test") as connection:
            upgrade(connection, revision)
        with database, database.reading() as connection:
            found = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
        assert found == revision
    row = "INSERT INTO feature_flags VALUES ('kill_switch', true, 'all', '{}')"
    with database, database.writing("test") as connection:
        connection.exec_driver_sql(row)
    with open_database(url) as opened:
        assert opened.current == HEAD
        assert list(SqlFlags(opened).rows()) == [Flag("kill_switch", True, "all")]


def test_a_newer_schema_is_refused_with_a_cure(database_url: str) -> None:
    with open_database(database_url) as database, database.writing("test") as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))  # noqa: S608
    with pytest.raises(PredatorError, match=rf"schema 9999.*only {HEAD}.*Install the newer"):
        open_database(database_url)


OPEN = """
import sys
from predator.adapters.database.engine import open_database
sys.stdin.readline()
with open_database(sys.argv[1]) as database:
    print(database.current)
"""


def test_processes_that_start_at_once_migrate_once(database_url: str) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, database_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(3)
    ]
    time.sleep(0.5)
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=90)[0].strip() for process in processes]
    assert said == [HEAD] * 3


def test_an_opening_that_is_killed_leaves_nothing_half_made(tmp_path: Path) -> None:
    """At whatever moment: the migrations are one transaction."""
    for number in range(3):
        url = f"sqlite:///{tmp_path}/{number}.db"
        process = subprocess.Popen(
            [sys.executable, "-c", OPEN, url], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        while not (tmp_path / f"{number}.db").exists():
            time.sleep(0.001)
        time.sleep(0.02 * number)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdin.close()
        with open_database(url) as database:
            assert database.current == HEAD
            SqlFlags(database).put(Flag("f", True, "all"), **PUT)  # type: ignore[arg-type]


WRITE = """
import sys
from predator.adapters.database.engine import open_database
from predator.adapters.cycles.sql import SqlCycles
cycles = SqlCycles(open_database(sys.argv[1]))
number = 0
while True:
    print(cycles.open(f"{sys.argv[2]} {number}", "local", {}, 0.0), flush=True)
    number += 1
"""


def test_what_was_acknowledged_survives_a_kill(database: Database) -> None:
    acknowledged = []
    for life in range(2):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITE, database.url, str(life)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None
        acknowledged.append(writer.stdout.readline())
        time.sleep(0.05)
        writer.send_signal(signal.SIGKILL)
        acknowledged += [line for line in writer.stdout if line.endswith("\n")]
        writer.stdout.close()
        writer.wait(10)
    with database.reading() as connection:
        kept = set(connection.scalars(text("SELECT cycle_id FROM cycles")))
    assert {line.strip() for line in acknowledged} <= kept
    assert 0 <= len(kept) - len(set(acknowledged)) <= 2


def test_opening_is_fast(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a/b/optimizer.db"
    started = time.process_time()
    open_database(url).close()
    first = time.process_time() - started
    started = time.process_time()
    open_database(url).close()
    assert first < 2.0
    assert time.process_time() - started < 0.3


def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    with open_database(f"sqlite:///{tmp_path}/optimizer.db") as database:
        SqlFlags(database).put(Flag("f", True, "all"), **PUT)  # type: ignore[arg-type]
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(modes, 0o600)
    assert {"optimizer.db", "optimizer.db-wal"} <= set(modes)


def test_sqlite_is_durable_and_checks_its_references(sqlite_url: str) -> None:
    with open_database(sqlite_url) as database, database.reading() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {
        "journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 30_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        *["", "optimizer.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://u@h/d"],
        *["sqlite:///file:x?mode=ro&uri=true", "sqlite://host/x", "sqlite+aiosqlite:////x"],
        *["postgresql+asyncpg://u:canary@h/d", "http://u:canary@h/", "canary:canary:canary"],
    ],
)
def test_another_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InputError) as refused:
        open_database(url)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgres_url_gets_its_driver_and_hides_its_password(scheme: str) -> None:
    parsed = urls.parse(f"{scheme}://user:canary@127.0.0.1:1/name?sslpassword=canary")
    database = Database(parsed, busy_timeout_s=1)
    assert database.url == "postgresql+psycopg://user:***@127.0.0.1:1/name"
    assert database.file is None
    with pytest.raises(PredatorError, match="failed") as failed, database.reading():
        pass
    assert "canary" not in str(failed.value)


def test_a_relative_path_does_not_follow_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert urls.parse("sqlite:///x/optimizer.db").database == str(tmp_path / "x" / "optimizer.db")


def test_a_file_that_is_no_database_is_an_error_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "optimizer.db"
    file.write_bytes(b"notes, not a database\n" * 100)
    before = file.read_bytes()
    with pytest.raises(PredatorError, match="file is not a database"):
        open_database(f"sqlite:///{file}")
    assert file.read_bytes() == before
    with pytest.raises(PredatorError, match="cannot be opened"):
        open_database(f"sqlite:///{tmp_path}")


def test_a_lock_that_stays_is_told_and_nothing_changed(sqlite_url: str) -> None:
    with open_database(sqlite_url, busy_timeout_s=0.1) as database:
        flags = SqlFlags(database)
        flags.put(Flag("f", True, "all"), **PUT)  # type: ignore[arg-type]
        holder = sqlite3.connect(str(database.file), isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(PredatorError, match=r"locked by another process for 0\.1 s"):
            flags.put(Flag("f", False, "all"), **PUT)  # type: ignore[arg-type]
        # Readers are not stopped by a writer: the kill switch stays readable.
        assert flags.rows()[0].enabled
        holder.close()
        flags.put(Flag("f", False, "all"), **PUT)  # type: ignore[arg-type]
        assert not flags.rows()[0].enabled


def test_a_lock_that_passes_is_waited_for(sqlite_url: str) -> None:
    with open_database(sqlite_url) as database:
        holder = sqlite3.connect(str(database.file), isolation_level=None, check_same_thread=False)
        holder.execute("BEGIN IMMEDIATE")
        timer = threading.Timer(0.3, holder.rollback)
        timer.start()
        assert SqlSlots(database).claim("t", "c", 1)
        timer.join()
        holder.close()


def test_on_postgres_a_scope_that_stays_locked_is_told(postgres_head_url: str) -> None:
    with (
        open_database(postgres_head_url) as holder,
        open_database(postgres_head_url, busy_timeout_s=0.2) as database,
        holder.writing("slots"),
    ):
        with pytest.raises(PredatorError, match=r"locked by another process for 0\.2 s"):
            SqlSlots(database).claim("t", "c", 1)
        # Another scope is free.
        SqlFlags(database).put(Flag("f", True, "all"), **PUT)  # type: ignore[arg-type]


def test_on_postgres_a_stopped_holder_loses_its_lock(postgres_head_url: str) -> None:
    with (
        open_database(postgres_head_url, busy_timeout_s=0.6) as stopped,
        open_database(postgres_head_url, busy_timeout_s=5) as database,
    ):
        with pytest.raises(PredatorError), stopped.writing("slots") as connection:
            assert SqlSlots(database).claim("t", "c", 1)
            connection.exec_driver_sql("DELETE FROM experiment_slots")
        assert list(SqlSlots(database).holders("t")) == ["c"]


def test_a_block_that_raises_changes_nothing(database: Database) -> None:
    def half(connection_error: bool) -> None:
        with database.writing("test") as connection:
            connection.exec_driver_sql("INSERT INTO feature_flags VALUES ('f', true, 'all', '{}')")
            if connection_error:
                connection.exec_driver_sql("INSERT INTO no_such_table VALUES (1)")
            raise InputError("no")

    with pytest.raises(InputError, match="no"):
        half(connection_error=False)
    with pytest.raises(PredatorError, match="no_such_table"):
        half(connection_error=True)
    assert list(SqlFlags(database).rows()) == []


def test_a_full_disk_leaves_the_state_before(sqlite_url: str) -> None:
    with open_database(sqlite_url) as database:
        flags = SqlFlags(database)
        flags.put(Flag("f", True, "all"), **PUT)  # type: ignore[arg-type]
        with database.writing("test") as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(PredatorError, match="database or disk is full"):
            for number in range(500):
                flags.put(Flag(f"f{number}", True, "all", {"x": "y" * 999}), **PUT)  # type: ignore[arg-type]
        kept = flags.rows()
        assert Flag("f", True, "all") in kept
        assert len(flags.changes(1000)) == len(kept)


def test_a_file_that_may_only_be_read_says_so(sqlite_url: str) -> None:
    with open_database(sqlite_url) as database:
        SqlFlags(database).put(Flag("f", True, "all"), **PUT)  # type: ignore[arg-type]
        with database.reading() as connection:
            connection.exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(PredatorError, match="readonly"):
            SqlFlags(database).put(Flag("f", False, "all"), **PUT)  # type: ignore[arg-type]
        assert SqlFlags(database).rows()[0].enabled


def test_a_restarted_server_is_found_again(postgres_head_url: str) -> None:
    with open_database(postgres_head_url) as database:
        SqlFlags(database).rows()
        with open_database(postgres_head_url) as other, other.writing("test") as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert list(SqlFlags(database).rows()) == []


def test_threads_share_a_database(database: Database) -> None:
    slots = SqlSlots(database)
    with ThreadPoolExecutor(24) as pool:
        list(pool.map(lambda n: slots.claim(f"t{n % 3}", f"c{n}", 1), range(48)))
    assert sum(len(slots.holders(f"t{n}")) for n in range(3)) == 48


def test_opening_does_not_load_alembic_again(sqlite_url: str) -> None:
    """A command line that opens the database at head pays for no migration."""
    code = (
        "import sys; from predator.adapters.database.engine import open_database; "
        "open_database(sys.argv[1]).close(); print('alembic' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, sqlite_url], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"

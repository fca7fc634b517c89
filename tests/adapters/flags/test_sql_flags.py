"""The table keeps the contract, takes the spec's SQL, and fails closed on what it cannot read."""

from __future__ import annotations

import time

import pytest

from predator.adapters.database.engine import Database, open_database
from predator.adapters.flags.sql import SqlFlags
from predator.domain.errors import PredatorError
from predator.domain.governance import Flag
from tests.contracts.flags import WHO, FlagsContract

SPEC = """
INSERT INTO feature_flags (flag_name, enabled, environment, metadata) VALUES
('self_improvement_enabled', true, 'compute-nvidia', '{"auto_promote": true}'),
('auto_rollback', true, 'all', '{"threshold": "ndcg_drop"}'),
('cost_optimization', true, 'all', '{"max_budget_usd": 500}'),
('ab_testing', true, 'edge-oracle', '{"split_ratio": 0.2}');
"""


class TestSqlFlags(FlagsContract):
    @pytest.fixture
    def flags(self, database: Database) -> SqlFlags:
        return SqlFlags(database)


def run(database: Database, statement: str) -> None:
    with database.writing("test") as connection:
        connection.exec_driver_sql(statement)


def test_the_insert_of_the_spec_runs_as_it_is(database: Database) -> None:
    run(database, SPEC)
    assert list(SqlFlags(database).rows()) == [
        Flag("ab_testing", True, "edge-oracle", {"split_ratio": 0.2}),
        Flag("auto_rollback", True, "all", {"threshold": "ndcg_drop"}),
        Flag("cost_optimization", True, "all", {"max_budget_usd": 500}),
        Flag("self_improvement_enabled", True, "compute-nvidia", {"auto_promote": True}),
    ]


def test_a_row_without_metadata_has_none(database: Database) -> None:
    run(database, "INSERT INTO feature_flags (flag_name, enabled, environment) "
                  "VALUES ('kill_switch', false, 'all')")  # fmt: skip
    assert list(SqlFlags(database).rows()) == [Flag("kill_switch", False, "all")]


def test_one_name_and_environment_is_one_row_in_sql_too(database: Database) -> None:
    run(database, SPEC)
    with pytest.raises(PredatorError, match=r"UNIQUE|unique"):
        run(database, SPEC)


@pytest.mark.parametrize("metadata", ["[1]", "5", "null", '"x"', "true", "", "{", '{"a": NaN}'])
def test_a_row_that_cannot_be_read_fails_the_whole_reading(
    database: Database, metadata: str
) -> None:
    flags = SqlFlags(database)
    flags.put(Flag("kill_switch", False, "all"), **WHO, at=1.0)
    broken = f"INSERT INTO feature_flags VALUES ('f', true, 'local', '{metadata}')"  # noqa: S608
    if database.sqlite or metadata in ("[1]", "5", "null", '"x"', "true"):
        run(database, broken)
        with pytest.raises(PredatorError, match=r"row of flag 'f' for 'local' cannot be read"):
            flags.rows()
    else:  # PostgreSQL keeps no text that is no JSON.
        with pytest.raises(PredatorError, match="invalid input syntax for type json"):
            run(database, broken)
        assert len(flags.rows()) == 1


@pytest.mark.parametrize("enabled", ["'maybe'", "2", "NULL", "x'00'"])
def test_a_flag_that_is_neither_on_nor_off_does_not_pass(sqlite_url: str, enabled: str) -> None:
    """SQLite keeps any value in any column."""
    row = f"INSERT INTO feature_flags VALUES ('f', {enabled}, 'all', '{{}}')"  # noqa: S608
    with open_database(sqlite_url) as database, pytest.raises(PredatorError):
        run(database, row)
        SqlFlags(database).rows()


def test_a_missing_table_is_an_error_not_an_empty_one(own_database: Database) -> None:
    run(own_database, "DROP TABLE feature_flags")
    with pytest.raises(PredatorError, match="feature_flags"):
        SqlFlags(own_database).rows()


@pytest.mark.parametrize("statement", ["UPDATE feature_flag_changes SET actor = 'nobody'",
                                       "DELETE FROM feature_flag_changes"])  # fmt: skip
def test_the_log_of_changes_is_append_only(database: Database, statement: str) -> None:
    flags = SqlFlags(database)
    flags.put(Flag("f", True, "all"), **WHO, at=1.0)
    with pytest.raises(PredatorError, match="append-only"):
        run(database, statement)
    assert [change.actor for change in flags.changes()] == ["olena"]


def test_a_flag_counts_at_once_in_every_process(database: Database) -> None:
    """No cache: what another connection commits is what the next reading says."""
    here = SqlFlags(database)
    with open_database(database.url) as other:
        for number in range(20):
            SqlFlags(other).put(Flag("kill_switch", number % 2 == 0, "all"), **WHO, at=number)
            assert here.rows()[0].enabled == (number % 2 == 0)


def test_reading_is_cheap(database: Database) -> None:
    run(database, SPEC)
    flags = SqlFlags(database)
    flags.rows()
    started = time.process_time()
    for _ in range(300):
        flags.rows()
    assert (time.process_time() - started) / 300 < 0.01

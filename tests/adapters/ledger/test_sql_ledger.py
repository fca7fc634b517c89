"""The ledger in the database keeps the contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from predator.adapters.database.engine import Database
from predator.adapters.ledger.sql import SqlLedger
from tests.contracts.ledger import GOLD, LedgerContract, read


class TestSqlLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, database: Database) -> SqlLedger:
        return SqlLedger(database)


def test_a_reading_outlasts_the_process_that_took_it(database: Database) -> None:
    found = read(SqlLedger(database), "c:1")
    database.close()
    assert read(SqlLedger(database), "c:1") == found
    assert list(SqlLedger(database).readings(GOLD)) == [found]

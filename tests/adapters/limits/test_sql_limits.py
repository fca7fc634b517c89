"""Limits in the database keep the contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from predator.adapters.database.engine import Database
from predator.adapters.limits.sql import SqlLimits
from tests.contracts.limits import LimitsContract


class TestSqlLimits(LimitsContract):
    @pytest.fixture
    def limits(self, database: Database) -> SqlLimits:
        return SqlLimits(database)

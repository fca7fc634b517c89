"""Overrides in the database keep the contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from predator.adapters.database.engine import Database
from predator.adapters.overrides.sql import SqlOverrides
from tests.contracts.overrides import OverridesContract


class TestSqlOverrides(OverridesContract):
    @pytest.fixture
    def overrides(self, database: Database) -> SqlOverrides:
        return SqlOverrides(database)

"""Slots in the database keep the contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from predator.adapters.database.engine import Database
from predator.adapters.slots.sql import SqlSlots
from tests.contracts.slots import SlotsContract


class TestSqlSlots(SlotsContract):
    @pytest.fixture
    def slots(self, database: Database) -> SqlSlots:
        return SqlSlots(database)

"""Approvals in the database keep the contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from predator.adapters.approvals.sql import SqlApprovals
from predator.adapters.database.engine import Database
from tests.contracts.approvals import ApprovalsContract


class TestSqlApprovals(ApprovalsContract):
    @pytest.fixture
    def approvals(self, database: Database) -> SqlApprovals:
        return SqlApprovals(database)

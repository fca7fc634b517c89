"""Replies in the database keep the contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from predator.adapters.database.engine import Database
from predator.adapters.replies.sql import SqlReplies
from tests.contracts.replies import RepliesContract


class TestSqlReplies(RepliesContract):
    @pytest.fixture
    def replies(self, database: Database) -> SqlReplies:
        return SqlReplies(database)

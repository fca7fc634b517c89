"""Tokens in the database keep the contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

import pytest

from predator.adapters.database.engine import Database
from predator.adapters.tokens.sql import SqlTokens
from tests.contracts.tokens import TokensContract


class TestSqlTokens(TokensContract):
    @pytest.fixture
    def tokens(self, database: Database) -> SqlTokens:
        return SqlTokens(database)

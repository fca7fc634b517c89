"""Tokens in memory keep the contract."""

from __future__ import annotations

import pytest

from predator.adapters.tokens.memory import MemoryTokens
from tests.contracts.tokens import TokensContract


class TestMemoryTokens(TokensContract):
    @pytest.fixture
    def tokens(self) -> MemoryTokens:
        return MemoryTokens()

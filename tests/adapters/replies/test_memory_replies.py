"""Replies in memory keep the contract."""

from __future__ import annotations

import pytest

from predator.adapters.replies.memory import MemoryReplies
from tests.contracts.replies import RepliesContract


class TestMemoryReplies(RepliesContract):
    @pytest.fixture
    def replies(self) -> MemoryReplies:
        return MemoryReplies()

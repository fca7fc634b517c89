"""Approvals in memory keep the contract."""

from __future__ import annotations

import pytest

from predator.adapters.approvals.memory import MemoryApprovals
from tests.contracts.approvals import ApprovalsContract


class TestMemoryApprovals(ApprovalsContract):
    @pytest.fixture
    def approvals(self) -> MemoryApprovals:
        return MemoryApprovals()

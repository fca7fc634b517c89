"""Limits in memory keep the contract."""

from __future__ import annotations

import pytest

from predator.adapters.limits.memory import MemoryLimits
from tests.contracts.limits import LimitsContract


class TestMemoryLimits(LimitsContract):
    examples = 100

    @pytest.fixture
    def limits(self) -> MemoryLimits:
        return MemoryLimits()

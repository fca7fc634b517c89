"""Overrides in memory keep the contract."""

from __future__ import annotations

import pytest

from predator.adapters.overrides.memory import MemoryOverrides
from tests.contracts.overrides import OverridesContract


class TestMemoryOverrides(OverridesContract):
    @pytest.fixture
    def overrides(self) -> MemoryOverrides:
        return MemoryOverrides()

"""Places in memory keep the contract."""

from __future__ import annotations

import pytest

from predator.adapters.slots.memory import MemorySlots
from tests.contracts.slots import SlotsContract


class TestMemorySlots(SlotsContract):
    @pytest.fixture
    def slots(self) -> MemorySlots:
        return MemorySlots()

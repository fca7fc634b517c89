"""Flags in memory keep the contract."""

from __future__ import annotations

import pytest

from predator.adapters.flags.memory import MemoryFlags
from tests.contracts.flags import FlagsContract


class TestMemoryFlags(FlagsContract):
    @pytest.fixture
    def flags(self) -> MemoryFlags:
        return MemoryFlags()

"""The ledger in memory keeps the contract."""

from __future__ import annotations

import pytest

from predator.adapters.ledger.memory import MemoryLedger
from tests.contracts.ledger import LedgerContract


class TestMemoryLedger(LedgerContract):
    examples = 50

    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        return MemoryLedger()

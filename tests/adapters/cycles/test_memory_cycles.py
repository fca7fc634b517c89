"""The register in memory keeps the contract."""

from __future__ import annotations

import pytest

from predator.adapters.cycles.memory import MemoryCycles
from tests.contracts.cycles import NOON, CyclesContract


class TestMemoryCycles(CyclesContract):
    @pytest.fixture
    def cycles(self) -> MemoryCycles:
        return MemoryCycles()


def test_ids_in_use_elsewhere_are_skipped() -> None:
    used = {"si_2025_12_07_001", "si_2025_12_07_003"}
    cycles = MemoryCycles(taken=used.__contains__)
    assert [cycles.open(f"s{n}", "local", {}, NOON) for n in range(2)] == [
        "si_2025_12_07_002",
        "si_2025_12_07_004",
    ]

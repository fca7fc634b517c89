"""Cycles in the database keep the contract, on SQLite and on PostgreSQL."""

from __future__ import annotations

from pathlib import Path

import pytest

from predator.adapters.cycles.sql import SqlCycles
from predator.adapters.database.engine import Database, open_database
from tests.contracts.cycles import FIRST, NOON, TRIGGER, CyclesContract


class TestSqlCycles(CyclesContract):
    @pytest.fixture
    def cycles(self, database: Database) -> SqlCycles:
        return SqlCycles(database)


def test_ids_in_use_elsewhere_are_skipped(database: Database, tmp_path: Path) -> None:
    """An artifact folder that is there already is never written into by another cycle."""
    for name in ("si_2025_12_07_001", "si_2025_12_07_003"):
        (tmp_path / name).mkdir()
    cycles = SqlCycles(database, taken=lambda cycle_id: (tmp_path / cycle_id).exists())
    assert [cycles.open(f"s{n}", "local", {}, NOON) for n in range(2)] == [
        "si_2025_12_07_002",
        "si_2025_12_07_004",
    ]


def test_the_thousandth_cycle_of_a_day_is_the_newest(database: Database) -> None:
    last = {f"si_2025_12_07_{number:03d}" for number in range(1, 999)}
    cycles = SqlCycles(database, taken=last.__contains__)
    opened = [cycles.open(f"s{number}", "local", {}, NOON) for number in range(2)]
    assert opened == ["si_2025_12_07_999", "si_2025_12_07_1000"]
    assert [entry.cycle_id for entry in cycles.list()] == opened[::-1]
    assert [entry.cycle_id for entry in cycles.list(before=opened[1])] == opened[:1]


def test_the_register_outlives_its_process(database: Database) -> None:
    SqlCycles(database).open("s1", "local", TRIGGER, NOON)
    with open_database(database.url) as again:
        cycles = SqlCycles(again)
        assert cycles.open("s1", "local", TRIGGER, NOON + 1) == FIRST
        assert cycles.open("s2", "local", TRIGGER, NOON + 1) == "si_2025_12_07_002"

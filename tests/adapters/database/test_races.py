"""Sixteen processes race for cycles, money, places, ids and keys: no limit is ever exceeded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.database.engine import Database
from predator.adapters.limits.sql import SqlLimits
from predator.adapters.slots.sql import SqlSlots
from predator.domain.governance import Spend
from tests.racers import AMOUNT_USD, BUDGET_USD, MOST_CYCLES, MOST_OPEN, NOON, RACERS

ROOT = Path(__file__).parents[3]


def raced(database: Database, rounds: int) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.racers", database.url, str(rounds)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def check(database: Database, rounds: int) -> None:
    got = raced(database, rounds)
    winners = {"begin": MOST_CYCLES, "reserve": BUDGET_USD // AMOUNT_USD, "charge": 1,
               "slot": MOST_OPEN, "reply": 1}  # fmt: skip
    for name, most in winners.items():
        assert [sum(turn) for turn in zip(*got[name], strict=True)] == [most] * rounds, name
    ids = [name for racer in got["open"] for name in racer]
    assert len(set(ids)) == len(ids) == RACERS * rounds
    assert all(len(set(turn)) == 1 for turn in zip(*got["same"], strict=True))
    limits, slots = SqlLimits(database), SqlSlots(database)
    for turn in range(rounds):
        assert limits.cycles_on(f"r{turn}", NOON) == MOST_CYCLES
        assert limits.spent(f"r{turn}", NOON) == Spend(1, 90)
        assert len(slots.holders(f"r{turn}")) == RACERS


def test_sixteen_processes_at_once_exceed_nothing(database: Database) -> None:
    check(database, rounds=2)


@pytest.mark.nightly
def test_sixteen_processes_for_long_exceed_nothing(database: Database) -> None:
    check(database, rounds=60)

"""Whatever happens to the ring in whatever order, no invariant breaks (I1, I5, I13–I15)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.invariants.walk import (
    MOST_BOUNDARIES,
    NAMES,
    Event,
    events_of,
    fault_of,
    shortest,
)

EXAMPLES, LEAST, MOST = 500, 10, 18
"""Walks on every change, and how many events each has."""

SEEDS, EVENTS_EACH = os.environ.get("WALK_SEEDS", "0:10000"), 200
"""The nightly walks: ``first:last`` to do a part of them, or to go on where a night ended."""

Folders = Callable[[], Path]

events = st.builds(
    Event, st.sampled_from(NAMES), st.integers(0, 63), st.integers(0, MOST_BOUNDARIES - 1)
)


def told(folders: Folders, walk: Sequence[Event], fault: str) -> str:
    """The fault, with the shortest walk that still shows it."""
    kind = _kind(fault)
    short = shortest(lambda fewer: _kind(fault_of(folders(), fewer)) == kind, walk)
    return f"{fault}\nby {[tuple(event) for event in short]}"


def _kind(fault: str) -> str:
    return "".join(char for char in fault if not char.isdigit())[:50]


@settings(
    max_examples=EXAMPLES,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(walk=st.lists(events, min_size=LEAST, max_size=MOST))
def test_no_walk_breaks_an_invariant(folders: Folders, walk: Sequence[Event]) -> None:
    fault = fault_of(folders(), walk)
    assert not fault, fault


@pytest.mark.nightly
def test_no_long_walk_breaks_an_invariant(
    folders: Folders, capsys: pytest.CaptureFixture[str]
) -> None:
    """``-s`` or not, it tells how far it has come: it may run all night."""
    first, last = map(int, SEEDS.split(":"))
    for seed in range(first, last):
        walk = events_of(seed, EVENTS_EACH)
        fault = fault_of(folders(), walk)
        assert not fault, f"seed {seed}: {told(folders, walk, fault)}"
        if seed % 100 == 99:
            with capsys.disabled():
                sys.stdout.write(f"seeds {first} to {seed}: 0 violations\n")

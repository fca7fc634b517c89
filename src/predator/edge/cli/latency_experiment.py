"""What an open experiment costs a search: the same queries with and without one, in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from predator.loop.release.desired_state import DesiredState
from predator.ports.deployer import Deployer
from predator.search.desired import AB, INTERLEAVE, RunningExperiment

STATES = ("none", AB, INTERLEAVE)
TURNS, SEARCHES = 24, 30
"""Windows of each state, and searches in one: short, so that what else the machine does hits all
states alike."""
WARM_UP = 5
USERS = 10
MOST_ADDED = 1.05
"""An open A/B test may add 5% to the p50."""


def overhead(
    desired: DesiredState,
    deployer: Deployer,
    candidate: str,
    queries: Sequence[str],
    ask: Callable[[str, str], None],
    progress: Callable[[int, int], None],
) -> dict[str, Any]:
    """p50 in ms by state, over the same queries a few seconds apart, and what experiments add.

    ``ask`` (query, user) sends one search; ``candidate`` should cost what the live release costs.
    Of drafted lists every search asks both releases, which is their price, not an overhead.
    """
    windows: dict[str, list[float]] = {state: [] for state in STATES}
    for turn in range(TURNS):
        states = [*STATES[turn % len(STATES) :], *STATES[: turn % len(STATES)]]
        asked = [queries[(turn * SEARCHES + at) % len(queries)] for at in range(SEARCHES)]
        for state in states:
            _open(desired, deployer, candidate, state, turn)
            took = []
            for at, query in enumerate([*asked[:WARM_UP], *asked]):
                started = time.perf_counter()
                ask(query, f"bench-{at % USERS}")
                took.append((time.perf_counter() - started) * 1e3)
            windows[state] += took[WARM_UP:]
        progress(turn + 1, TURNS)
    _open(desired, deployer, candidate, "none", TURNS)
    p50 = {state: _middle(found) for state, found in windows.items()}
    return {
        "p50_ms": {state: round(found, 3) for state, found in p50.items()},
        "ab_over_none": round(p50[AB] / p50["none"], 3),
        "interleave_over_none": round(p50[INTERLEAVE] / p50["none"], 3),
        "searches": TURNS * SEARCHES,
    }


def _open(desired: DesiredState, deployer: Deployer, candidate: str, state: str, turn: int) -> None:
    trial = None
    if state != "none":
        trial = RunningExperiment(f"bench-{turn}-{state}", "ranking", candidate, 0.5, state)
    trailers = {"Cycle": "bench", "Step": f"experiment-{turn}-{state}"}
    desired.set_experiment(
        None, "Bench: no experiment", {**trailers, "Step": f"end-{turn}-{state}"}
    )
    revision = desired.set_experiment(trial, f"Bench: {state}", trailers)
    deployer.wait(revision, 60)


def _middle(values: Sequence[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2

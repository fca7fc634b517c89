"""What an open experiment costs is measured on the same queries, and leaves none open."""

from __future__ import annotations

from predator.adapters.gitops.memory import MemoryGitOps
from predator.adapters.platform.rehearsed_deployer import RehearsedDeployer
from predator.edge.cli import latency_experiment
from predator.edge.cli.latency_experiment import SEARCHES, STATES, TURNS, overhead
from predator.loop.release.desired_state import DesiredState
from predator.search.desired import LiveRelease


def test_each_query_is_asked_without_and_with_each_kind_of_experiment() -> None:
    desired = DesiredState(MemoryGitOps(), "local")
    desired.set_release(LiveRelease("v1", "a" * 64, "x"), None, "Found", {"Step": "found"})
    asked: dict[str, list[str]] = {state: [] for state in STATES}

    def ask(query: str, _user: str) -> None:
        running = desired.read().experiment
        assert running is None or running.candidate == "b" * 64
        asked[running.kind if running else "none"].append(query)

    done: list[int] = []
    found = overhead(
        desired, RehearsedDeployer(desired), "b" * 64, [f"q{n}" for n in range(70)], ask,
        lambda at, _total: done.append(at),
    )  # fmt: skip
    assert asked["none"] == asked["ab"] == asked["interleave"]
    assert len(asked["none"]) == TURNS * (SEARCHES + latency_experiment.WARM_UP)
    assert done == list(range(1, TURNS + 1))
    assert desired.read().experiments == ()
    assert set(found["p50_ms"]) == set(STATES)
    assert found["ab_over_none"] > 0 and found["searches"] == TURNS * SEARCHES

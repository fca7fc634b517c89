"""What the loop writes to git: one commit a step, and a restore that is one commit forward."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.gitops.memory import MemoryGitOps
from predator.domain.errors import ConflictError, PredatorError
from predator.loop.desired_state import DesiredState
from predator.ports.gitops import GitOps
from predator.search.desired import Holdback, LiveRelease, RunningExperiment

V1 = LiveRelease("v1.0", "1" * 64, "bootstrap")
V2 = LiveRelease("v2.0", "2" * 64, "si_2025_12_07_001")
V3 = LiveRelease("v3.0", "3" * 64, "si_2025_12_07_002")
HELD = Holdback("watch-si_2025_12_07_001", V1.digest, 0.05)
TRIAL = RunningExperiment("exp-si_2025_12_07_002", "ranking", V3.digest, 0.2)

Open = Callable[[], GitOps]


@pytest.fixture(params=["memory", "bare git"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """A way to open the repository again, as another process would."""
    if request.param == "memory":
        shared = MemoryGitOps()
        return lambda: shared
    return lambda: BareGit(tmp_path / "gitops.git")


@pytest.fixture
def state(opened: Open) -> DesiredState:
    return DesiredState(opened(), "local")


def found(state: DesiredState) -> str:
    return state.set_release(V1, None, "Found", {"Cycle": "bootstrap", "Step": "release"})


def promote(state: DesiredState, release: LiveRelease, held: Holdback | None = None) -> str:
    trailers = {"Cycle": release.cycle, "Step": "promote", "Release": release.digest}
    return state.set_release(release, held, f"Promote {release.version}", trailers)


def restore(state: DesiredState, bad: str, cycle: str = V2.cycle, step: str = "rollback") -> str:
    return state.restore(bad, "Roll back", {"Cycle": cycle, "Step": step})


def test_an_empty_repository_says_that_it_holds_no_release(state: DesiredState) -> None:
    with pytest.raises(PredatorError, match="holds no release"):
        state.read()


def test_a_promotion_ends_the_experiment_and_holds_back_the_old_release(
    state: DesiredState,
) -> None:
    found(state)
    state.set_experiment(TRIAL, "Start", {"Cycle": V2.cycle, "Step": "start-experiment"})
    assert (state.read().experiment, state.read().release) == (TRIAL, V1)
    promote(state, V2, HELD)
    assert state.read().release == V2
    assert (state.read().experiment, state.read().holdback) == (None, HELD)
    state.end_watch("Keep", {"Cycle": V2.cycle, "Step": "end-watch"})
    assert (state.read().release, state.read().holdback) == (V2, None)


def test_a_step_done_twice_is_one_commit(state: DesiredState, opened: Open) -> None:
    found(state)
    first = promote(state, V2, HELD)
    state.end_watch("Keep", {"Cycle": V2.cycle, "Step": "end-watch"})
    again = promote(DesiredState(opened(), "local"), V2, HELD)
    assert again == first
    assert len(state.history()) == 3
    assert state.read().holdback is None


def test_a_restore_is_one_commit_forward(state: DesiredState, opened: Open) -> None:
    found(state)
    bad = promote(state, V2, HELD)
    revision = restore(state, bad)
    assert opened().head() == revision
    assert state.read().release == V1
    [commit] = state.reverts(bad)
    assert commit.revision == revision
    assert commit.trailers["Reverts"] == bad
    assert commit.trailers["Cycle"] == V2.cycle
    assert state.before(bad) == V1
    assert state.release_commit(V2.cycle) == bad
    assert state.release_commit("si_2025_12_07_009") is None


def test_commits_in_between_stay(state: DesiredState) -> None:
    """The watch ends and an experiment starts; then the release turns out to be bad after all."""
    found(state)
    bad = promote(state, V2, HELD)
    state.end_watch("Keep", {"Cycle": V2.cycle, "Step": "end-watch"})
    state.set_experiment(TRIAL, "Start", {"Cycle": V3.cycle, "Step": "start-experiment"})
    restore(state, bad)
    assert state.read().release == V1
    assert state.read().experiment == TRIAL
    assert len(state.history()) == 5


def test_other_values_and_comments_stay(state: DesiredState, opened: Open) -> None:
    found(state)
    gitops = opened()
    path = "environments/local/values.yaml"
    text = gitops.read(path) or ""
    gitops.commit({path: text + "replicas: 3 # by hand\n"}, "Scale", {}, parent=gitops.head())
    bad = promote(state, V2)
    restore(state, bad)
    after = gitops.read(path) or ""
    assert "replicas: 3 # by hand" in after
    assert state.read().release == V1


def test_whoever_asks_there_is_one_restoring_commit(state: DesiredState) -> None:
    found(state)
    bad = promote(state, V2, HELD)
    first = restore(state, bad)
    assert restore(state, bad) == first
    assert restore(state, bad, cycle=V3.cycle, step="drill") == first
    assert len(state.reverts(bad)) == 1
    assert len(state.history()) == 3


@pytest.mark.parametrize("same_step", [True, False])
def test_of_ten_rollbacks_at_once_one_restores(
    state: DesiredState, opened: Open, same_step: bool
) -> None:
    found(state)
    bad = promote(state, V2, HELD)
    start = Barrier(10)

    def race(number: int) -> str:
        mine = DesiredState(opened(), "local")
        start.wait()
        return restore(mine, bad, step="rollback" if same_step else f"rollback-{number}")

    with ThreadPoolExecutor(10) as pool:
        revisions = set(pool.map(race, range(10)))
    [commit] = state.reverts(bad)
    assert revisions == {commit.revision}
    assert state.read().release == V1
    assert len(state.history()) == 3


def test_a_late_rollback_does_not_undo_a_newer_release(state: DesiredState) -> None:
    found(state)
    bad = promote(state, V2)
    promote(state, V3)
    with pytest.raises(ConflictError, match=r"v3\.0 went live after v2\.0"):
        restore(state, bad)
    assert state.read().release == V3
    assert state.reverts(bad) == []


def test_a_release_can_come_back_after_a_rollback(state: DesiredState) -> None:
    found(state)
    bad = promote(state, V2)
    restore(state, bad)
    better = LiveRelease("v2.1", V2.digest, V3.cycle)
    second = promote(state, better)
    assert restore(state, bad) != second
    assert state.read().release == better
    restore(state, second, cycle=V3.cycle)
    assert state.read().release == V1
    assert [len(state.reverts(revision)) for revision in (bad, second)] == [1, 1]


def test_before_the_first_release_there_is_nothing_to_go_back_to(state: DesiredState) -> None:
    first = found(state)
    with pytest.raises(PredatorError, match="nothing stands before"):
        restore(state, first)
    with pytest.raises(PredatorError):
        restore(state, "f" * 40)
    assert len(state.history()) == 1


def test_writers_of_different_steps_all_get_through(state: DesiredState, opened: Open) -> None:
    found(state)
    start = Barrier(8)

    def write(number: int) -> str:
        mine = DesiredState(opened(), "local")
        start.wait()
        return mine.set_experiment(None, "End", {"Cycle": V2.cycle, "Step": f"end-{number}"})

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(write, range(8)))) == 8
    assert len(state.history()) == 9

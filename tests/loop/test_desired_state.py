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
from predator.loop.release.desired_state import DesiredState
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


def test_a_hold_back_that_is_gone_is_not_ended_with_what_runs_since(state: DesiredState) -> None:
    found(state)
    promote(state, V2, HELD)
    state.end_watch("Keep", {"Cycle": V2.cycle, "Step": "end-watch"})
    state.set_experiment(TRIAL, "Start", {"Cycle": V3.cycle, "Step": "start-experiment"})
    state.end_watch("Keep again", {"Cycle": "si_2025_12_07_009", "Step": "end-watch"})
    assert state.read().experiments == (TRIAL,)


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


def half(name: str, lower: float, upper: float, layer: str = "ranking") -> RunningExperiment:
    return RunningExperiment(name, layer, V3.digest, 0.2, users_from=lower, users_to=upper)


def start(state: DesiredState, experiment: RunningExperiment) -> str:
    return state.set_experiment(experiment, "Start", {"Step": f"start-{experiment.id}"})


def test_experiments_with_users_of_their_own_run_beside_each_other(state: DesiredState) -> None:
    found(state)
    first, second = half("a", 0.0, 0.5), half("b", 0.5, 1.0)
    third = half("c", 0.0, 1.0, "retrieval")
    for experiment in (first, second):
        start(state, experiment)
    assert state.read().experiments == (first, second)
    state.end_experiments(("a", "nobody"), "End", {"Step": "end-a"})
    assert state.read().experiments == (second,)
    start(state, third)
    assert state.read().experiments == (second, third), "in the order of their start"
    promote(state, V2, HELD)
    assert state.read().experiments == ()


@pytest.mark.parametrize(
    "late",
    [half("b", 0.3, 0.6), RunningExperiment("b", "ranking", V3.digest, 0.2)],
    ids=["overlapping", "everybody"],
)
def test_an_experiment_that_wants_users_of_another_has_to_wait(
    state: DesiredState, late: RunningExperiment
) -> None:
    found(state)
    start(state, half("a", 0.0, 0.5))
    with pytest.raises(ConflictError, match="must wait"):
        start(state, late)
    assert state.read().experiments == (half("a", 0.0, 0.5),)


def test_who_has_all_users_leaves_none_to_another_layer(state: DesiredState) -> None:
    found(state)
    start(state, TRIAL)
    with pytest.raises(ConflictError, match="must wait"):
        start(state, half("b", 0.0, 1.0, "retrieval"))


def test_the_end_of_an_experiment_leaves_the_hold_back(state: DesiredState) -> None:
    found(state)
    promote(state, V2, HELD)
    state.end_experiments(("a",), "End", {"Step": "end-a"})
    assert state.read().holdback == HELD


def test_what_a_rollback_took_away_is_known_until_it_is_live_again(state: DesiredState) -> None:
    found(state)
    assert state.taken_back() == frozenset()
    restore(state, promote(state, V2))
    promote(state, V3)
    assert state.taken_back() == {V2.digest}
    state.set_release(V1, None, "Back", {"Cycle": "a", "Step": "rollback", "Rollback-To": "v1.0"})
    assert state.taken_back() == {V2.digest, V3.digest}
    state.set_release(V2, None, "Again", {"Cycle": "b", "Step": "rollback", "Rollback-To": "v2.0"})
    assert state.taken_back() == {V1.digest, V3.digest}


def test_nothing_goes_forward_while_a_release_waits_to_be_kept(state: DesiredState) -> None:
    found(state)
    promote(state, V2, HELD)
    with pytest.raises(ConflictError, match=r"is open beside v2\.0"):
        start(state, TRIAL)
    with pytest.raises(ConflictError, match=r"is open beside v2\.0"):
        state.set_release(V3, None, "Promote", {"Cycle": V3.cycle, "Step": "p"}, replaces=V2)
    assert (state.read().experiments, state.read().holdback) == ((), HELD)
    state.end_watch("Keep", {"Cycle": V2.cycle, "Step": "end-watch"})
    start(state, TRIAL)
    assert state.read().experiment == TRIAL

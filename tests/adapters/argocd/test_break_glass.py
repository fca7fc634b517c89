"""Break-glass: back through Argo CD's history, in the only order that it allows."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from predator.adapters.argocd.application import KEPT
from predator.adapters.argocd.break_glass import BreakGlass
from predator.domain.errors import InputError, PredatorError
from predator.loop.release.desired_state import DesiredState
from predator.ports.gitops import Commit, GitOps
from tests.adapters.argocd.places import AUTOMATED, Contour
from tests.adapters.platform.platforms import CONTOUR

ACTOR = {"Actor": "ann"}


def glass(
    there: Contour,
    gitops: GitOps | None = None,
    faults: Callable[[str], Sequence[str]] = lambda _: (),
) -> BreakGlass:
    return BreakGlass(
        there.api(),
        DesiredState(gitops or there.place.gitops, CONTOUR),
        there.deployer(),
        faults,
        patience_s=60,
        monotonic=lambda: there.argo.now,
        sleep=there.argo.advance,
    )


@pytest.fixture
def bad(there: Contour) -> tuple[str, str]:
    """Under auto-sync a release is live that must go: the digest before it, and its own."""
    before = there.place.desired.read().release.digest
    there.automate()
    there.deployer().wait(there.release(), 60)
    there.server.calls.clear()
    return before, there.place.desired.read().release.digest


class NoWrites:
    """The repository as it is, but nothing can be committed."""

    def __init__(self, gitops: GitOps) -> None:
        self._gitops = gitops

    def head(self) -> str | None:
        return self._gitops.head()

    def read(self, path: str, revision: str | None = None) -> str | None:
        return self._gitops.read(path, revision)

    def log(self, limit: int = 100) -> Sequence[Commit]:
        return self._gitops.log(limit)

    def commit(
        self, changes: Mapping[str, str], subject: str, trailers: Mapping[str, str], *, parent: Any
    ) -> str:
        raise PredatorError("the GitOps repository cannot be written")


def test_the_last_other_release_runs_again_and_git_wants_it_by_one_commit(
    there: Contour, bad: tuple[str, str]
) -> None:
    before, _ = bad
    commits = len(there.place.gitops.log(1000))
    found = glass(there).roll_back(None, "users complain", ACTOR)
    assert found.entry.release is not None
    assert found.entry.release.digest == before
    live = there.deployer().status()
    assert (live.release, live.revision, live.healthy) == (before, found.commit, True)
    log = there.place.gitops.log(1000)
    assert len(log) == commits + 1
    assert log[0].trailers["Actor"] == "ann"
    assert there.argo.automated == AUTOMATED["automated"]
    assert there.argo.annotations == {}


def test_auto_sync_without_any_option_is_put_back_too(there: Contour, bad: tuple[str, str]) -> None:
    there.argo.spec["syncPolicy"] = {"automated": {}}
    assert glass(there).roll_back(None, "users complain", ACTOR).auto_sync
    assert there.argo.automated == {}


def test_what_was_rolled_back_before_is_not_gone_back_to(there: Contour) -> None:
    """The release of a drill is whole, and in the history; nobody wants it again."""
    there.automate()
    desired = there.place.desired
    older = desired.read().release
    for revision in (there.release(), drilled := there.release()):
        there.deployer().wait(revision, 60)
    undo = {"Cycle": drilled, "Step": "rollback"}
    there.deployer().wait(desired.restore(drilled, "Roll back", undo), 60)
    assert glass(there).history()[1].revision == drilled
    assert glass(there).roll_back(None, "why", ACTOR).entry.release == older


def test_it_goes_off_then_back_then_on(there: Contour, bad: tuple[str, str]) -> None:
    """With auto-sync on, Argo CD refuses; on again before git is restored, the bad one is back."""
    glass(there).roll_back(None, "why", ACTOR)
    writes = [call.split()[0] + call.rpartition("/")[2] for call in there.server.calls
              if not call.startswith("GET")]  # fmt: skip
    assert writes == ["PATCHpredator-local", "POSTrollback", "PATCHpredator-local"]


def test_an_entry_can_be_chosen_and_one_that_is_not_there_is_refused(
    there: Contour, bad: tuple[str, str]
) -> None:
    history = glass(there).history()
    assert [one.id for one in history] == sorted((one.id for one in history), reverse=True)
    oldest = history[-1]
    found = glass(there).roll_back(oldest.id, "why", ACTOR)
    assert found.entry == oldest
    with pytest.raises(InputError, match=r"holds no entry 99999. It has \d+"):
        glass(there).roll_back(99_999, "why", ACTOR)


def test_a_release_that_is_not_whole_is_never_gone_back_to(
    there: Contour, bad: tuple[str, str]
) -> None:
    with pytest.raises(InputError, match="is not whole: reranker"):
        glass(there, faults=lambda _: ["reranker (missing)"]).roll_back(None, "why", ACTOR)
    assert there.automatic
    assert not any(call.startswith(("POST", "PATCH")) for call in there.server.calls)


def test_while_git_cannot_be_written_the_cluster_stays_back_and_auto_sync_off(
    there: Contour, bad: tuple[str, str]
) -> None:
    before, _ = bad
    with pytest.raises(PredatorError, match=r"auto-sync of \S+ stays off. Repair git"):
        glass(there, NoWrites(there.place.gitops)).roll_back(None, "why", ACTOR)
    there.argo.advance(1000)
    assert there.deployer(control=False).status().release == before
    assert not there.automatic
    # The same command again, now that git is back: it goes on, and does not turn round.
    found = glass(there).roll_back(None, "why", ACTOR)
    assert found.auto_sync
    assert there.place.desired.read().release.digest == before
    assert there.argo.automated == AUTOMATED["automated"]
    assert there.deployer().status().release == before


def test_an_operation_that_hangs_is_ended_first(there: Contour, bad: tuple[str, str]) -> None:
    there.argo.stuck = True
    there.argo.sync({}, "ann")
    there.argo.advance(2)
    there.argo.in_s(4, lambda: setattr(there.argo, "stuck", False))
    assert glass(there).roll_back(None, "why", ACTOR).auto_sync
    assert there.argo.terminated == 1


def test_a_rollback_that_fails_leaves_auto_sync_off_and_says_why(
    there: Contour, bad: tuple[str, str]
) -> None:
    there.argo.fail_syncs = 1
    with pytest.raises(
        PredatorError, match=r"sync Failed: .*exceeded quota; auto-sync of \S+ stays off"
    ):
        glass(there).roll_back(None, "why", ACTOR)
    assert not there.automatic


def test_without_auto_sync_it_is_not_turned_on(there: Contour) -> None:
    there.deployer().wait(there.release(), 60)
    assert not glass(there).roll_back(None, "why", ACTOR).auto_sync
    assert not there.automatic


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"automated": 3, "revision": "x"})])
def test_an_annotation_that_is_none_of_ours_is_not_guessed_at(there: Contour, text: str) -> None:
    there.argo.annotations[KEPT] = text
    with pytest.raises(InputError, match="is none of ours"):
        glass(there).roll_back(None, "why", ACTOR)

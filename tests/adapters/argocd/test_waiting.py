"""How a commit is waited for: through everything that may be in its way, and no longer."""

from __future__ import annotations

import pytest

from predator.adapters.argocd.argo_deployer import DEGRADED_S
from predator.domain.errors import PredatorError
from tests.adapters.argocd.fake_controller import RECONCILE_S
from tests.adapters.argocd.places import Contour

MISSING = "f" * 64


def syncs(there: Contour) -> int:
    return sum(call.startswith("POST") and call.endswith("/sync") for call in there.server.calls)


@pytest.mark.parametrize("automatic", [False, True])
def test_a_sync_is_asked_for_only_where_nobody_else_does(there: Contour, automatic: bool) -> None:
    if automatic:
        there.automate()
    revision = there.release()
    found = there.deployer().wait(revision, 30)
    assert (found.revision, found.healthy) == (revision, True)
    assert syncs(there) == (0 if automatic else 1)
    assert there.argo.cluster.digest == found.release
    assert there.argo.state is not None
    operation = there.argo.state["operation"]
    assert operation["sync"]["revision"] == revision
    assert not operation["sync"].get("prune")
    assert operation.get("info") == (
        None if automatic else [{"name": "predator", "value": revision}]
    )


def test_it_does_not_wait_for_argo_cds_own_look_at_git(there: Contour) -> None:
    there.automate()
    before = there.argo.now
    there.deployer().wait(there.release(), 30)
    assert there.argo.now - before < RECONCILE_S / 4


def test_argo_cd_is_asked_to_look_at_git_until_it_has_seen_the_commit_and_no_longer(
    there: Contour,
) -> None:
    there.deployer().wait(there.release(), 30)
    reads = [call for call in there.server.calls if call.startswith("GET")]
    assert "refresh=normal" in reads[0]
    assert not any("refresh" in call for call in reads[1:])


def test_a_sync_that_failed_is_tried_once_more(there: Contour) -> None:
    there.automate()
    there.argo.fail_syncs = 1
    revision = there.release()
    assert there.deployer().wait(revision, 60).revision == revision
    assert syncs(there) == 1


def test_a_sync_that_keeps_failing_is_an_error_that_names_the_object(there: Contour) -> None:
    there.argo.fail_syncs = 9
    with pytest.raises(PredatorError, match=r"was not applied: sync Failed: .*exceeded quota") as e:
        there.deployer().wait(there.release(), 100)
    assert "/predator-local" in str(e.value)
    assert syncs(there) == 1
    assert not there.deployer().status().healthy


def test_after_a_failed_sync_the_next_commit_goes_live(there: Contour) -> None:
    there.argo.fail_syncs = 1
    with pytest.raises(PredatorError):
        there.deployer().wait(there.release(), 100)
    revision = there.release()
    assert there.deployer().wait(revision, 100).revision == revision


def test_the_way_back_from_a_failed_sync_changes_nothing_and_is_synced_all_the_same(
    there: Contour,
) -> None:
    """The cluster is there already, so Argo CD says Synced, beside an operation that failed."""
    there.argo.fail_syncs = 1
    bad = there.release()
    with pytest.raises(PredatorError):
        there.deployer().wait(bad, 100)
    back = there.place.desired.restore(bad, "Back", {})
    found = there.deployer().wait(back, 100)
    assert (found.revision, found.healthy) == (back, True)


def test_somebody_elses_sync_is_waited_out(there: Contour) -> None:
    there.argo.sync({}, "ann")
    revision = there.release()
    assert there.deployer().wait(revision, 30).revision == revision
    assert syncs(there) == 1


def test_an_operation_that_came_between_is_waited_out_too(there: Contour) -> None:
    there.argo.busy = 3
    revision = there.release()
    assert there.deployer().wait(revision, 30).revision == revision
    assert syncs(there) == 4


@pytest.mark.parametrize("automatic", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_a_sync_window_is_waited_out(there: Contour, automatic: bool) -> None:
    if automatic:
        there.automate()
    there.argo.window_closed = True
    there.argo.in_s(20, lambda: setattr(there.argo, "window_closed", False))
    revision = there.release()
    assert there.deployer().wait(revision, 100).revision == revision


@pytest.mark.parametrize("automatic", [False, pytest.param(True, marks=pytest.mark.nightly)])
def test_a_sync_window_that_stays_closed_is_named_at_the_timeout(
    there: Contour, automatic: bool
) -> None:
    if automatic:
        there.automate()
    there.argo.window_closed = True
    with pytest.raises(PredatorError, match=r"within 30 s: .*blocked by sync window"):
        there.deployer().wait(there.release(), 30)


def test_at_the_timeout_our_own_sync_is_ended(there: Contour) -> None:
    there.argo.stuck = True
    with pytest.raises(PredatorError, match="its sync was ended"):
        there.deployer().wait(there.release(), 30)
    assert there.argo.terminated == 1


def test_somebody_elses_sync_is_never_ended(there: Contour) -> None:
    there.argo.stuck = True
    there.argo.sync({}, "ann")
    with pytest.raises(PredatorError, match="was not applied within 30 s"):
        there.deployer().wait(there.release(), 30)
    assert there.argo.terminated == 0


def test_an_argo_cd_that_restarts_is_waited_for_and_one_that_is_gone_is_named(
    there: Contour,
) -> None:
    there.argo.down = 5
    revision = there.release()
    assert there.deployer().wait(revision, 60).revision == revision
    there.argo.down = 99
    with pytest.raises(PredatorError, match=r"HTTP 503 the server is shutting down"):
        there.deployer().wait(there.release(), 30)
    with pytest.raises(PredatorError, match="HTTP 503"):
        there.deployer().status()


def test_what_stays_degraded_ends_the_wait_with_the_objects_own_words(there: Contour) -> None:
    before = there.argo.now
    with pytest.raises(PredatorError, match=r"was not applied: .*exceeded its progress deadline"):
        there.deployer().wait(there.release(MISSING), 3600)
    assert there.argo.now - before < 300


def test_an_autoscaler_without_a_reading_yet_is_borne(there: Contour) -> None:
    there.argo.cluster.autoscaler_ready = False
    there.place.gitops.commit(
        {"environments/local/values.yaml": autoscaled(there)}, "Scale", {},
        parent=there.place.gitops.head(),
    )  # fmt: skip
    there.argo.in_s(
        10 + DEGRADED_S / 2, lambda: setattr(there.argo.cluster, "autoscaler_ready", True)
    )
    revision = there.place.gitops.head()
    assert revision is not None
    assert there.deployer().wait(revision, 100).healthy


def autoscaled(there: Contour) -> str:
    text = there.place.gitops.read("environments/local/values.yaml")
    assert text is not None
    return text.replace("search:\n", "search:\n  autoscaling: {enabled: true}\n")


def test_an_object_that_waits_to_be_pruned_is_named_and_not_pruned(there: Contour) -> None:
    text = there.place.gitops.read("environments/local/values.yaml")
    assert text is not None
    head = there.place.gitops.head()
    revision = there.place.gitops.commit(
        {"environments/local/values.yaml": f"{text}networkPolicy: {{enabled: false}}\n"},
        "Open the network", {}, parent=head,
    )  # fmt: skip
    with pytest.raises(PredatorError, match=r"NetworkPolicy/\S+ waits to be pruned"):
        there.deployer().wait(revision, 30)
    there.place.gitops.commit(
        {"environments/local/values.yaml": text}, "Close it", {}, parent=revision
    )


def test_values_that_cannot_be_rendered_are_told_as_argo_cd_tells_them(there: Contour) -> None:
    text = there.place.gitops.read("environments/local/values.yaml")
    assert text is not None
    revision = there.place.gitops.commit(
        {"environments/local/values.yaml": f"{text}serch: {{}}\n"}, "Misspelt", {},
        parent=there.place.gitops.head(),
    )  # fmt: skip
    with pytest.raises(PredatorError, match="ComparisonError: helm template failed"):
        there.deployer().wait(revision, 30)
    live = there.deployer().status()
    assert not live.healthy
    assert live.release
    there.place.gitops.commit(
        {"environments/local/values.yaml": text}, "Right", {}, parent=revision
    )


def test_without_the_pods_endpoint_git_says_what_is_live_and_a_flip_is_refused(
    there: Contour,
) -> None:
    deployer = there.deployer(control=False)
    revision = there.release()
    found = deployer.wait(revision, 30)
    assert found.release == there.place.desired.read(revision).release.digest
    with pytest.raises(PredatorError, match="Set argocd_control_url"):
        deployer.flip(found.release)


def test_a_roll_out_gets_the_time_that_pods_need_whatever_less_is_granted(there: Contour) -> None:
    revision = there.release()
    with pytest.raises(PredatorError, match="within 1 s"):
        there.deployer().wait(revision, 1)
    assert there.deployer(patience_s=30).wait(there.release(), 1).healthy


def test_a_commit_that_rolls_no_pod_is_applied_only_where_the_pods_have_seen_it(
    there: Contour,
) -> None:
    """An experiment starts when users are in it, not when Argo CD has nothing left to do."""
    there.automate()
    there.argo.cluster.freeze()
    revision = there.place.desired.end_watch("Keep", {"Cycle": "slow", "Step": "end-watch"})
    with pytest.raises(PredatorError, match="a pod is still at"):
        there.deployer().wait(revision, 30)
    there.argo.in_s(10, there.argo.cluster.thaw)
    assert there.deployer().wait(revision, 30).revision == revision


def test_a_look_at_git_that_takes_too_long_is_not_insisted_on(there: Contour) -> None:
    there.argo.down = 3
    revision = there.release()
    assert there.deployer().wait(revision, 60).revision == revision
    reads = [call for call in there.server.calls if call.startswith("GET")]
    assert ["refresh" in call for call in reads[:4]] == [True, False, True, False]

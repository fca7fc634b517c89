"""The fake does what Argo CD does where the adapter depends on it."""

from __future__ import annotations

import json
from contextlib import closing

import httpx
import pytest

from tests.adapters.argocd.fake_argocd import Refusal
from tests.adapters.argocd.fake_controller import HISTORY
from tests.adapters.argocd.fake_server import LOOP_TOKEN
from tests.adapters.argocd.places import APP, PROJECT, Contour
from tests.adapters.argocd.swagger import Swagger


def test_its_history_keeps_ten_and_its_ids_only_grow(there: Contour) -> None:
    for _ in range(HISTORY + 2):
        there.argo.sync({}, "ann")
        there.argo.advance(6)
    ids = [one["id"] for one in there.argo.history]
    assert len(ids) == HISTORY
    assert ids == list(range(ids[0], ids[0] + HISTORY))
    assert ids[0] > 0
    with pytest.raises(Refusal, match="does not have deployment with id 0"):
        there.argo.roll_back({"id": 0}, "ann")


def test_it_refuses_a_rollback_under_auto_sync_and_a_second_operation(there: Contour) -> None:
    there.argo.sync({}, "ann")
    with pytest.raises(Refusal, match="another operation is already in progress"):
        there.argo.sync({}, "bob")
    there.argo.advance(6)
    there.automate()
    with pytest.raises(Refusal, match="rollback cannot be initiated when auto-sync is enabled"):
        there.argo.roll_back({"id": there.argo.history[0]["id"]}, "ann")


def test_auto_sync_takes_a_commit_within_its_own_time_and_never_twice_where_it_failed(
    there: Contour,
) -> None:
    there.automate()
    there.argo.fail_syncs = 1
    revision = there.release()
    there.argo.advance(1000)
    status = there.argo.application()["status"]
    assert status["sync"] == {**status["sync"], "status": "OutOfSync", "revision": revision}
    assert status["operationState"]["phase"] == "Failed"
    good = there.release()
    there.argo.advance(1000)
    status = there.argo.application()["status"]
    assert (status["sync"]["status"], status["sync"]["revision"]) == ("Synced", good)
    assert status["health"]["status"] == "Healthy"


def test_a_rollback_that_git_does_not_follow_is_out_of_sync(there: Contour) -> None:
    target = there.argo.history[-1]
    there.deployer().wait(there.release(), 60)
    there.argo.roll_back({"id": target["id"]}, "ann")
    there.argo.advance(20)
    there.argo.reconcile()
    shown = there.argo.application()["status"]
    assert shown["sync"]["status"] == "OutOfSync"
    assert shown["history"][-1]["revision"] == target["revision"]
    assert shown["health"]["status"] == "Healthy"


def test_what_changes_is_streamed_one_json_a_line(there: Contour) -> None:
    headers = {"Authorization": f"Bearer {LOOP_TOKEN}"}
    query = {"name": APP, "project": PROJECT}
    swagger = Swagger.beside()
    path = "/api/v1/stream/applications"
    url = f"{there.url}{path}"
    with httpx.stream("GET", url, headers=headers, params=query, timeout=60) as answer:
        lines = answer.iter_lines()
        with closing(lines):  # type: ignore[type-var]
            first = json.loads(next(lines))["result"]
            assert (first["type"], first["application"]["metadata"]["name"]) == ("ADDED", APP)
            there.argo.sync({}, "ann")
            line = next(lines)
    assert json.loads(line)["result"]["type"] == "MODIFIED"
    assert swagger is None or swagger.answer("GET", path, 200, line.encode()) == []

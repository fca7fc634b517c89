"""The admin API as its callers meet it."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from predator.domain.errors import PredatorError
from predator.domain.governance import Role
from predator.edge.api.guard import ApiLimits
from predator.edge.api.metrics import LoopMetrics
from predator.edge.api.pages import page
from predator.edge.api.rates import Buckets
from predator.journal.logs import LOGGER, configure
from tests.edge.api.served import GENEROUS, Served, app_of
from tests.loop.operator_world import CYCLE, DAY

FOREVER = "9999-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = configure(stream)
    yield stream
    logging.getLogger(LOGGER).removeHandler(handler)


def logged(lines: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.getvalue().splitlines()]


# The spec's own requests.


def test_stop_needs_no_body(served: Served) -> None:
    answer = served.post("/stop")
    assert answer.json() == {
        "environment": "all",
        "engaged": True,
        "stopped": ["compute-nvidia", "dev-mac", "edge-oracle", "local"],
        "recorded": True,
        "drained": True,
    }
    assert served.get("/state?contour=local").json()["stopped"] is True


def test_start_needs_a_reason(served: Served) -> None:
    served.post("/stop")
    assert served.post("/start").status_code == 422
    refused = served.post("/start", {"contour": "all"})
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("reason")
    assert served.post("/start", {"contour": "all", "reason": "checked"}).json()["stopped"] == []


def test_rollback_takes_the_body_of_the_spec(served: Served) -> None:
    body = {"environment": "compute-nvidia", "to_version": "v2.0"}
    answer = served.post("/rollback", body)
    assert answer.status_code == 202
    (flow,) = served.world.desk.flows.list()
    assert (flow.name, flow.id) == ("rollback", answer.json()["id"])
    assert served.get(f"/rollbacks/{flow.id}").json()["state"] == "queued"


def test_a_rollback_passes_the_kill_switch(served: Served) -> None:
    served.post("/stop")
    assert served.post("/rollback", {"environment": "local"}).status_code == 202


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (None, "reason"),
        ({}, "reason"),
        ({"contour": "local", "expires_at": FOREVER}, "reason"),
        ({"contour": "local", "expires_at": FOREVER, "reason": "  "}, "reason"),
        ({"contour": "local", "reason": "x"}, "expires_at"),
        ({"contour": "local", "reason": "x", "expires_at": 5}, "expires_at"),
        ({"contour": "local", "reason": "x", "expires_at": FOREVER}, "expires_at"),
        ({"contour": "local", "reason": "x", "expires_at": "soon"}, "expires_at"),
        ({"contour": "local", "reason": "x", "expires_at": True}, "expires_at"),
        ({"reason": "x", "expires_at": FOREVER}, "contour"),
    ],
)
def test_a_gate_override_names_what_it_lacks(shared: Served, body: Any, named: str) -> None:
    answer = shared.post("/quality-gates/ndcg_at_10?threshold=0.70", body)
    assert answer.status_code == 422
    assert named in answer.json()["detail"]
    assert shared.get("/overrides?contour=local").json()["items"] == []


@pytest.mark.parametrize("threshold", ["", "?threshold=", "?threshold=nan", "?threshold=1e999"])
def test_a_gate_override_needs_a_finite_threshold(shared: Served, threshold: str) -> None:
    body = {"contour": "local", "reason": "x", "expires_at": shared.world.now + DAY}
    answer = shared.post(f"/quality-gates/ndcg_at_10{threshold}", body)
    assert answer.status_code == 422
    assert "threshold" in answer.json()["detail"]


@pytest.mark.parametrize("moment", ["2025-12-07T05:46:40Z", "2025-12-07T07:46:40+02:00", None])
def test_a_gate_override_moves_the_floor(served: Served, moment: str | None) -> None:
    until = served.world.now + DAY
    body = {"contour": "local", "reason": "x", "expires_at": moment or until}
    granted = served.post("/quality-gates/ndcg_at_10?threshold=0.70", body).json()
    assert granted["expires_at"] == until
    gate = served.get("/quality-gates?contour=local").json()["items"][1]
    assert (gate["limit"], gate["override_id"]) == (0.7, granted["id"])
    served.world.clock.advance(DAY)
    gate = served.get("/quality-gates?contour=local").json()["items"][1]
    assert (gate["limit"], gate["override_id"]) == (0.6, "")


def test_on_compute_an_override_counts_once_a_second_person_confirmed_it(served: Served) -> None:
    where = "compute-nvidia"
    body = {"contour": where, "reason": "x", "expires_at": served.world.now + DAY}
    granted = served.post("/quality-gates/ndcg_at_10?threshold=0.70", body).json()
    assert granted["needs_second"] is True

    def limit() -> float:
        gates = served.get(f"/quality-gates?contour={where}").json()["items"]
        return float(gates[1]["limit"])

    assert limit() == 0.6
    path = f"/overrides/{granted['id']}/confirm"
    twice = served.world.token(Role.ADMIN, actor=" Ann ")
    assert served.post(path).status_code == 409
    assert served.post(path, token=twice).status_code == 409
    assert limit() == 0.6
    second = served.world.token(Role.APPROVER, actor="ben")
    assert served.post(path, token=second).json()["second"] == "ben"
    assert limit() == 0.7
    assert served.post(f"/overrides/{granted['id']}/revoke").json()["revoked_by"] == "ann"
    assert limit() == 0.6


# Approvals.


def test_nobody_approves_what_they_asked_for(served: Served) -> None:
    asked = served.world.ask(by="ann")
    path = f"/approvals/{asked.id}"
    assert served.post(f"{path}/approve", {"reason": "x"}).status_code == 403
    assert served.world.desk.approvals.get(asked.id) == asked
    other = served.world.token(Role.APPROVER, actor="ben")
    answer = served.post(f"{path}/approve", {"reason": "fine"}, token=other).json()
    assert answer["delivered"] is True
    assert (answer["approval"]["state"], answer["approval"]["actor"]) == ("approved", "ben")
    assert served.post(f"{path}/reject", {"reason": "no"}).status_code == 409


def test_an_expired_request_is_answered_no_more(served: Served) -> None:
    asked = served.world.ask()
    served.world.clock.advance(DAY)
    secret = served.world.token()
    answer = served.post(f"/approvals/{asked.id}/approve", {"reason": "x"}, token=secret)
    assert answer.status_code == 409


# Tokens.


def test_a_token_is_shown_once_and_kept_as_a_hash(served: Served) -> None:
    body = {"holder": "eve", "role": "viewer", "contours": [], "expires_at": served.world.now + 60}
    issued = served.post("/tokens", body).json()
    secret = issued.pop("token")
    assert secret.startswith("prd_")
    assert len(secret) == 4 + 43
    assert served.get("/state?contour=local", token=secret).status_code == 200
    assert secret not in str(vars(served.world.desk.tokens))
    assert issued in served.get("/tokens").json()["items"]
    path = f"/tokens/{issued['id']}"
    assert served.call("DELETE", path).json() == {"removed": True}
    assert served.get("/state?contour=local", token=secret).status_code == 401
    assert served.call("DELETE", path).json() == {"removed": False}


def test_a_token_ends_when_it_was_said_to(served: Served) -> None:
    body = {"holder": "eve", "role": "viewer", "contours": [], "expires_at": served.world.now + 60}
    secret = served.post("/tokens", body).json()["token"]
    served.world.clock.advance(59)
    assert served.get("/state?contour=local", token=secret).status_code == 200
    served.world.clock.advance(1)
    assert served.get("/state?contour=local", token=secret).status_code == 401


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic YTpi", "Bearer prd_x", "bearer  x", "Bearer \x7f", "x" * 5000],
)
def test_what_is_no_bearer_token_opens_nothing(shared: Served, header: str) -> None:
    answer = shared.get("/state?contour=local", headers={"Authorization": header})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="predator"'


# Errors.


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere", 404),
        ("PATCH", "/stop", 405),
        ("GET", "/stop", 405),
        ("GET", "/state?contour=mars", 404),
        ("GET", "/cycles/si_2025_12_07_999", 404),
        ("GET", "/cycles?contour=local&limit=201", 422),
        ("GET", "/cycles?contour=local&limit=0", 422),
        ("GET", "/cycles?contour=local&cursor=x", 422),
        ("GET", "/cycles?contour=local&limits=5", 422),
        ("POST", "/stop?dry_run=true", 422),
        ("GET", "/approvals?contour=local&cursor=bm8", 422),
        ("GET", "/approvals?contour=local&cursor=WzEsMl0", 200),
        ("GET", "/overrides?contour=local&cursor=e30", 422),
    ],
)
def test_every_error_is_a_problem(shared: Served, method: str, path: str, status: int) -> None:
    answer = shared.call(method, path)
    assert answer.status_code == status
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        told = answer.json()
        assert set(told) == {"type", "title", "status", "detail", "instance"}
        assert told["status"] == status
        assert told["instance"].endswith(answer.headers["x-request-id"])


@pytest.mark.parametrize("body", [b"{", b"[1", b"\xff", b'{"reason": "\\ud800"}', b"[" * 5000])
def test_a_body_that_is_no_json_is_refused(shared: Served, body: bytes) -> None:
    answer = shared.call(
        "POST", "/cycles", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_body_has_a_limit(shared: Served) -> None:
    body = {"contour": "local", "reason": "x" * 70_000}
    for key in (None, "k"):
        answer = shared.post("/cycles", body, key=key)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_defect_is_logged_and_not_told(
    served: Served, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("an inner detail")

    monkeypatch.setattr(served.world.desk.cycles, "list", broken)
    answer = served.get("/cycles?contour=local")
    assert answer.status_code == 500
    assert "inner" not in answer.text
    assert answer.headers["x-frame-options"] == "DENY"
    failed = next(line for line in logged(lines) if line["event"] == "request_failed")
    assert failed["error"] == "KeyError: 'an inner detail'"
    assert failed["where"].startswith("test_api.py:")
    assert failed["request_id"] == answer.headers["x-request-id"]
    assert served.client.get("/metrics").status_code == 401


def test_a_store_that_is_down_is_503(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise PredatorError("the database is locked")

    monkeypatch.setattr(served.world.desk.cycles, "list", down)
    answer = served.get("/cycles?contour=local")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "the database is locked"


def test_every_answer_is_sealed(shared: Served) -> None:
    for answer in (shared.get("/state?contour=local"), shared.get("/x"), shared.get("/healthz")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-request-id"]


def test_an_artifact_is_a_download_whatever_it_holds(served: Served) -> None:
    folder = served.world.leave_cycle()
    (folder / "page.html").write_text("<script>alert(1)</script>")
    answer = served.get(f"/cycles/{CYCLE}/artifacts/page.html")
    assert answer.text == "<script>alert(1)</script>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"


# Rates.


def test_a_token_has_a_rate_and_a_stop_has_none(tmp_path: Path) -> None:
    clock = [0.0]
    limits = ApiLimits(requests_per_s=1, requests_burst=3)
    served = Served(tmp_path, limits, steady=lambda: clock[0])
    answers = [served.get("/state?contour=local").status_code for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]
    late = served.get("/state?contour=local")
    assert late.headers["retry-after"] == "1"
    assert served.post("/stop").status_code == 200
    assert served.get("/state?contour=local", token=served.world.token()).status_code == 200
    clock[0] = 1.0
    assert served.get("/state?contour=local").status_code == 200
    assert served.get("/state?contour=local").status_code == 429


def test_a_stop_gets_through_when_every_thread_is_busy(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, busy = threading.Event(), threading.Semaphore(0)

    def slow(*_: Any, **__: Any) -> Any:
        busy.release()
        held.wait(60)
        return []

    monkeypatch.setattr(served.world.desk.cycles, "list", slow)
    with served.client, ThreadPoolExecutor(60) as pool:
        reads = [pool.submit(served.get, "/cycles?contour=local") for _ in range(60)]
        for _ in range(40):
            assert busy.acquire(timeout=60)
        started = time.monotonic()
        assert served.post("/stop").status_code == 200
        assert time.monotonic() - started <= 5.0
        held.set()
        assert {read.result().status_code for read in reads} == {200}


def test_refused_tokens_have_a_rate_that_hinders_no_good_one(tmp_path: Path) -> None:
    clock = [0.0]
    limits = ApiLimits(refused_per_s=0.5, refused_burst=3)
    served = Served(tmp_path, limits, steady=lambda: clock[0])
    answers = [served.get("/state?contour=local", token=f"x{n}").status_code for n in range(5)]
    assert answers == [401, 401, 401, 429, 429]
    assert served.get("/state?contour=local").status_code == 200
    clock[0] = 2.0
    assert served.get("/state?contour=local", token="x").status_code == 401


def test_a_bucket_forgets_whom_it_has_not_seen_for_long() -> None:
    buckets = Buckets(1, 1, lambda: 0.0, most=10)
    assert [buckets.take("a"), buckets.take("a")] == [0.0, 1.0]
    for number in range(10):
        buckets.take(str(number))
    assert buckets.take("a") == 0.0


def test_a_clock_that_goes_back_gives_and_takes_nothing() -> None:
    clock = [10.0]
    buckets = Buckets(1, 2, lambda: clock[0])
    assert [buckets.take("a"), buckets.take("a")] == [0.0, 0.0]
    clock[0] = 5.0
    assert buckets.take("a") == 1.0


# Pages.


def test_pages_show_everything_once(served: Served) -> None:
    for number in range(7):
        served.post("/cycles", {"contour": "local", "reason": f"r{number}"})
        served.world.ask()
        served.world.clock.advance(1)
    for path, name in (("/cycles", "cycle_id"), ("/approvals", "id")):
        seen: list[str] = []
        cursor = ""
        while True:
            found = served.get(f"{path}?contour=local&limit=3{cursor}").json()
            assert len(found["items"]) <= 3
            seen += [item[name] for item in found["items"]]
            if found["next"] is None:
                break
            cursor = f"&cursor={found['next']}"
        assert len(seen) == len(set(seen))
        assert seen == sorted(seen, reverse=True)
        assert len(seen) == (14 if name == "cycle_id" else 7)


@given(st.lists(st.tuples(st.floats(0, 2e9), st.text(max_size=8)), unique=True, max_size=20))
@settings(max_examples=50, deadline=None)
def test_pages_hold_every_item_once_in_order(items: list[tuple[float, str]]) -> None:
    for newest_first in (True, False):
        seen: list[tuple[float, str]] = []
        cursor: str | None = None
        while True:
            found = page(items, lambda item: item, 3, cursor, newest_first=newest_first)
            seen += found.items
            cursor = found.next
            if cursor is None:
                break
        assert seen == sorted(items, reverse=newest_first)


def test_a_page_is_the_same_whatever_came_meanwhile() -> None:
    def place(item: int) -> tuple[Any, ...]:
        return (item,)

    first = page(range(10), place, 4, None)
    assert list(first.items) == [9, 8, 7, 6]
    assert list(page(range(20), place, 4, first.next).items) == [5, 4, 3, 2]
    last = page(range(2), place, 4, first.next, newest_first=True)
    assert (list(last.items), last.next) == ([1, 0], None)


# Logs and metrics.


def test_each_request_is_one_line_with_its_cycle(served: Served, lines: io.StringIO) -> None:
    served.world.leave_cycle()
    asked = served.world.ask()
    served.get(f"/cycles/{CYCLE}")
    served.post(f"/approvals/{asked.id}/reject", {"reason": "no"})
    served.client.get("/healthz")
    first, second, third = logged(lines)
    assert first["event"] == "request"
    assert first["si_cycle_id"] == CYCLE
    assert first["route"] == "/api/v1/optimizer/cycles/{cycle_id}"
    assert (first["actor"], first["role"], first["status"]) == ("ann", "admin", 200)
    assert second["si_cycle_id"] == asked.cycle_id
    assert "si_cycle_id" not in third
    assert len({line["request_id"] for line in (first, second, third)}) == 3


def values(served: Served) -> dict[str, float]:
    text = served.get("/metrics").text
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_metrics_tell_how_the_loop_stands(served: Served) -> None:
    world = served.world
    served.post("/stop", {"contour": "local"})
    cycle_id = world.ask().cycle_id
    world.desk.cycles.mark(cycle_id, "first_action", world.now + 12)
    world.desk.cycles.finish(cycle_id, "no_change", world.now + 60)
    world.desk.limits.begin_cycle("local", cycle_id, world.now, 6)
    world.desk.limits.reserve("local", cycle_id, world.now, 5.0, 500.0)
    world.desk.limits.charge("local", "key", cycle_id, world.now, 2.0)
    found = values(served)
    assert found["predator_loop_stopped['local']"] == 1
    assert found["predator_loop_stopped['dev-mac']"] == 0
    assert found["predator_loop_approvals_pending['local']"] == 1
    assert found["predator_loop_cycles['local', 'no_change']"] == 1
    assert found["predator_loop_reaction_seconds['local']"] == 12
    assert found["predator_loop_cycles_today['local']"] == 1
    assert found["predator_loop_cycles_day_max['local']"] == 6
    assert found["predator_loop_spend_usd['charged', 'local']"] == 2
    assert found["predator_loop_spend_usd['budget', 'local']"] == 500
    assert found["predator_loop_flows['queued']"] == 1
    assert found["predator_admin_requests_total['/api/v1/optimizer/stop', '200', 'POST']"] == 1


def test_what_cannot_be_read_is_missing_and_never_zero(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise PredatorError("down")

    for store, name in (
        (served.world.desk.flags, "rows"),
        (served.world.desk.approvals, "list"),
        (served.world.desk.limits, "spent"),
        (served.world.desk.flows, "list"),
        (served.world.desk.cycles, "list"),
    ):
        monkeypatch.setattr(store, name, down)
    found = values(served)
    assert found["predator_loop_stopped['local']"] == 1
    for part in ("flags", "approvals", "limits", "flows", "cycles", "register"):
        assert found[f"predator_loop_unreadable['{part}']"] == 1
    gone = ("approvals_pending", "flows", "cycles[", "spend_usd['charged'")
    assert not [name for name in found for part in gone if f"predator_loop_{part}" in name]


def test_ready_means_that_a_stop_would_work(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: Any, **__: Any) -> Any:
        raise PredatorError("down: postgresql://u:pw@h/d")

    monkeypatch.setattr(served.world.desk.flows, "list", down)
    answer = served.client.get("/readyz")
    assert (answer.status_code, answer.json()["parts"]["flows"]) == (200, "cannot be read")
    monkeypatch.setattr(served.world.desk.flags, "rows", down)
    assert served.client.get("/readyz").status_code == 503
    assert served.client.get("/healthz").status_code == 200


def test_two_processes_share_what_matters(tmp_path: Path) -> None:
    served = Served(tmp_path)
    other = TestClient(app_of(served.world, GENEROUS, metrics=LoopMetrics(served.world.operator)))
    body = {"contour": "local", "reason": "x"}
    first = served.post("/cycles", body, key="k")
    headers = {"Authorization": f"Bearer {served.secret}", "Idempotency-Key": "k"}
    second = other.post("/api/v1/optimizer/cycles", json=body, headers=headers)
    assert (first.text, second.headers["idempotency-replayed"]) == (second.text, "true")

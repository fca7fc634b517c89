"""The same request twice is one act with one answer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from predator.domain.errors import PredatorError
from tests.edge.api.requests_of import REQUESTS
from tests.edge.api.served import Served

TIMES = 10
CHANGING = sorted({route for route in REQUESTS if route[0] != "GET"} - {("POST", "/stop")})


@pytest.fixture
def served(tmp_path: Path) -> Served:
    served = Served(tmp_path)
    served.world.leave_cycle()
    return served


def done(served: Served) -> int:
    """Acts on record that had an effect."""
    return sum(record["outcome"] == "done" for record in served.world.journal())


@pytest.mark.parametrize("route", CHANGING, ids=" ".join)
def test_ten_at_once_are_one_act_with_one_answer(served: Served, route: tuple[str, str]) -> None:
    path, body = REQUESTS[route](served.world)
    before = done(served)
    with served.client, ThreadPoolExecutor(TIMES) as pool:
        answers = list(
            pool.map(lambda _: served.call(route[0], path, body, key="the-same"), range(TIMES))
        )
    assert {answer.status_code for answer in answers} <= {200, 201, 202}
    assert len({answer.status_code for answer in answers}) == 1
    texts = {answer.text for answer in answers}
    if route == ("POST", "/tokens"):
        secrets = [answer.json()["token"] for answer in answers]
        assert sum(secret is not None for secret in secrets) == 1
        texts = {str({**answer.json(), "token": None}) for answer in answers}
    assert len(texts) == 1
    assert done(served) - before == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == TIMES - 1


def test_the_same_key_with_another_request_is_refused(served: Served) -> None:
    body = {"contour": "local", "reason": "one"}
    assert served.post("/cycles", body, key="k").status_code == 202
    assert served.post("/cycles", {**body, "reason": "two"}, key="k").status_code == 422
    assert served.post("/start", body, key="k").status_code == 422


def test_keys_of_different_callers_do_not_meet(served: Served) -> None:
    body = {"contour": "local", "reason": "one"}
    other = served.world.token(actor="ben")
    first = served.post("/cycles", body, key="k").json()["id"]
    second = served.post("/cycles", body, key="k", token=other).json()["id"]
    assert first != second


def test_without_a_key_each_request_is_an_act_of_its_own(served: Served) -> None:
    body = {"contour": "local", "reason": "one"}
    assert len({served.post("/cycles", body).json()["id"] for _ in range(3)}) == 3


@pytest.mark.parametrize("key", ["", " ", "x" * 201, "кл", "a b"])
def test_a_key_is_visible_ascii(served: Served, key: str) -> None:
    body = {"contour": "all", "reason": "x"}
    answer = served.post("/start", body, headers={"Idempotency-Key": key.encode()})
    assert answer.status_code == 422
    assert served.world.stop_row("all") is None


def test_a_stop_is_done_whenever_it_is_asked_for(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = served.post("/stop", key="k")
    assert served.post("/stop", key="k").text == first.text
    served.post("/start", {"contour": "all", "reason": "x"})
    assert served.post("/stop", key="k").text == first.text
    assert served.world.stop_row("all") is True

    def down(*_: Any) -> None:
        raise PredatorError("the database went away")

    monkeypatch.setattr(served.world.replies, "claim", down)
    assert served.post("/stop", key="k").status_code == 200
    assert served.post("/cycles", {"contour": "local", "reason": "x"}, key="k").status_code == 503


def test_ten_stops_at_once_are_one_switch_with_one_answer(served: Served) -> None:
    with served.client, ThreadPoolExecutor(TIMES) as pool:
        answers = list(pool.map(lambda _: served.post("/stop", key="k"), range(TIMES)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(served.world.desk.flags.rows()) == 1


def test_what_was_refused_may_be_tried_again_with_its_key(served: Served) -> None:
    body = {"contour": "local", "reason": "x", "action": "promote", "expires_at": 1.0}
    assert served.post("/overrides", body, key="k").status_code == 422
    later = {**body, "expires_at": served.world.now + 60}
    assert served.post("/overrides", later, key="k").status_code == 201


def test_a_failure_after_the_effect_does_not_double_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    flows: Any = served.world.desk.flows
    sound = flows.enqueue

    def broken(*given: Any, **more: Any) -> None:
        sound(*given, **more)
        raise PredatorError("the database went away")

    monkeypatch.setattr(flows, "enqueue", broken)
    body = {"contour": "local", "reason": "x"}
    assert served.post("/cycles", body, key="k").status_code == 503
    monkeypatch.setattr(flows, "enqueue", sound)
    assert served.post("/cycles", body, key="k").status_code == 202
    assert len(served.world.desk.cycles.list()) == 1
    assert len(served.world.desk.flows.list()) == 1


def test_a_reply_that_cannot_be_kept_is_still_given(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise PredatorError("the database went away")

    monkeypatch.setattr(served.world.replies, "keep", broken)
    body = {"contour": "local", "reason": "x"}
    assert served.post("/cycles", body, key="k").status_code == 202
    assert len(served.world.desk.cycles.list()) == 1

"""One list of two releases: drafted, recorded place by place, and never at a user's expense."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from predator.adapters.platform.records import PlatformRecords
from predator.search.desired import INTERLEAVE, RunningExperiment
from predator.search.engine import Engine, Ranking
from predator.search.serving import interleaved
from predator.search.serving.routing import Route
from tests.adapters.platform.platforms import Place
from tests.search.fakes import engine
from tests.search.serving.releases import INDEX


class Broken(Engine):
    """An engine that answers nothing."""

    def rank(self, text: str, k: int) -> Ranking:
        raise MemoryError("out of memory")


def engines() -> tuple[Engine, Engine]:
    return engine(INDEX, fusion="bm25"), engine(INDEX, fusion="dense")


def test_both_releases_have_a_part_of_the_list() -> None:
    live, candidate = engines()
    route = Route(live, "screen", "interleaved", candidate)
    answer = interleaved.rank(route, "matrix vector norm", 10, "query-1")
    rows = answer.ranking.rows.tolist()
    assert rows == [place.item for place in answer.places]
    assert {place.team for place in answer.places} == {"live", "candidate"}
    of_live = live.rank("matrix vector norm", 10).rows.tolist()
    for row, place in zip(rows, answer.places, strict=True):
        assert place.live_rank == (of_live.index(row) + 1 if row in of_live else 0)
    assert np.isfinite(answer.ranking.scores).all() and len(answer.ranking.scores) == len(rows)
    assert answer.release == "", "a drafted list is no release's"


def test_the_same_query_id_gives_the_same_list() -> None:
    live, candidate = engines()
    route = Route(live, "screen", "interleaved", candidate)
    lists = [
        interleaved.rank(route, "matrix vector", 10, name).ranking.rows.tolist()
        for name in ("a", "a", "b", "c", "d", "e")
    ]
    assert lists[0] == lists[1]
    assert len({tuple(one) for one in lists}) > 1


def test_a_candidate_that_fails_costs_the_user_nothing(caplog: pytest.LogCaptureFixture) -> None:
    live, candidate = engines()
    broken = Broken(candidate.release, INDEX, candidate._encoder, None)
    answer = interleaved.rank(Route(live, "screen", "interleaved", broken), "matrix", 10, "q")
    assert answer.ranking.rows.tolist() == live.rank("matrix", 10).rows.tolist()
    assert (answer.variant, answer.release) == ("failed", live.release.digest)
    assert answer.places == ()
    assert "screen" in caplog.text


def test_without_a_rival_one_release_answers() -> None:
    live, _ = engines()
    answer = interleaved.rank(Route(live, "exp", "baseline"), "matrix", 5, "q")
    assert (answer.variant, answer.release) == ("baseline", live.release.digest)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    live, new = place.release(fusion="bm25").digest, place.release(fusion="dense").digest
    place.commit("v1", live)
    place.desired.set_experiment(
        RunningExperiment("screen-1", "ranking", new, 1.0, INTERLEAVE), "Start", {"Step": "s"}
    )
    return place


def rows(place: Place, sql: str) -> list[Any]:
    with sqlite3.connect(place.database) as connection:
        return connection.execute(sql).fetchall()


def fill(client: TestClient) -> None:
    docs = [{"id": f"d{n}", "text": f"matrix {'vector ' * (n % 5)}norm {n}."} for n in range(30)]
    assert client.post("/documents", json=docs).status_code == 202
    for _ in range(2000):
        if client.get("/readyz").json()["etl_pending"] == 0:
            break
    assert client.get("/readyz").json()["documents"] == 30


def test_what_is_recorded_says_who_put_each_hit_there(place: Place) -> None:
    with TestClient(place.app()) as client:
        fill(client)
        found = client.post("/search", json={"query": "matrix vector", "user_id": "ann"}).json()
        assert (found["experiment_id"], found["variant"]) == ("screen-1", "interleaved")
        event = {
            "action_name": "click", "query_id": found["query_id"],
            "timestamp": "2026-01-01T00:00:00Z",
            "event_attributes": {"position": {"ordinal": 2}, "variant": "a lie"},
        }  # fmt: skip
        assert client.post("/events", json=[event]).status_code == 202
    [(body,)] = rows(place, "SELECT body FROM ubi_query_attributes")
    attributes = json.loads(body)
    assert (attributes["experiment_id"], attributes["variant"]) == ("screen-1", "interleaved")
    assert len(attributes["places"]) == len(found["hits"])
    [(body,)] = rows(place, "SELECT body FROM ubi_events")
    inside = json.loads(body)["event_attributes"]
    assert (inside["experiment_id"], inside["variant"]) == ("screen-1", "interleaved")
    assert inside["position"] == {"ordinal": 2}
    [impression] = PlatformRecords(place.database).impressions(0, 2**40)
    assert [hit.team for hit in impression.draft] == [one[0] for one in attributes["places"]]
    assert impression.clicks == (2,) and impression.release == ""


def test_a_search_of_nobody_is_answered_by_the_live_release(place: Place) -> None:
    with TestClient(place.app()) as client:
        fill(client)
        found = client.post("/search", json={"query": "matrix"}).json()
        assert (found["experiment_id"], found["variant"]) == (None, None)
        by_session = client.post("/search", json={"query": "matrix", "session_id": "s"}).json()
        assert by_session["variant"] == "interleaved"
    assert rows(place, "SELECT count(*) FROM ubi_query_attributes") == [(1,)]


def test_an_event_about_a_search_from_before_a_restart_still_knows_its_arm(place: Place) -> None:
    with TestClient(place.app()) as client:
        fill(client)
        query = client.post("/search", json={"query": "matrix", "user_id": "ann"}).json()
    with TestClient(place.app()) as client:
        event = {
            "action_name": "view", "query_id": query["query_id"],
            "timestamp": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        assert client.post("/events", json=[event]).status_code == 202
    [(body,)] = rows(place, "SELECT body FROM ubi_events")
    assert json.loads(body)["event_attributes"] == {
        "experiment_id": "screen-1", "variant": "interleaved",
    }  # fmt: skip

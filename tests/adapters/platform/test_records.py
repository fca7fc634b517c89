"""What the loop reads beside the platform: searches with what came of them, logs, the backlog."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from predator.adapters.platform.records import PlatformRecords
from predator.domain.documents import Document
from predator.domain.errors import PredatorError
from predator.search.desired import Holdback
from predator.search.serving.store import Store
from tests.adapters.platform.platforms import Place
from tests.search.fakes import documents

NOW = "2025-12-07T01:23:45.678Z"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def client(place: Place) -> Iterator[TestClient]:
    place.commit("v1", place.release(depth=10).digest)
    with TestClient(place.app()) as client:
        body = [{"id": d.id, "title": d.title, "text": d.text} for d in documents(20)]
        client.post("/documents", json=[*body, {"id": "void"}])
        while client.get("/readyz").json()["etl_pending"]:
            pass
        yield client


@pytest.fixture
def records(place: Place) -> PlatformRecords:
    return PlatformRecords(place.database)


def ask(client: TestClient, user: str, clicks: tuple[int, ...] = (), rating: int = 0) -> str:
    body = {"query": "matrix", "user_id": user, "k": 5}
    query_id: str = client.post("/search", json=body).json()["query_id"]
    for ordinal in clicks:
        event = {
            "action_name": "click",
            "timestamp": NOW,
            "query_id": query_id,
            "event_attributes": {"position": {"ordinal": ordinal}},
        }
        assert client.post("/events", json=[event]).status_code == 202
    view = {"action_name": "view", "timestamp": NOW, "query_id": query_id}
    assert client.post("/events", json=[view]).status_code == 202
    if rating:
        client.post("/feedback", json={"query_id": query_id, "rating": rating})
    return query_id


def test_searches_come_with_their_clicks_and_ratings(
    client: TestClient, records: PlatformRecords
) -> None:
    started = time.time()
    asked = [ask(client, "ann", (3, 1, 3), 5), ask(client, "bob"), ask(client, "eve", (), 1)]
    found = records.impressions(started, time.time())
    assert [one.query_id for one in found] == asked
    assert [one.clicks for one in found] == [(1, 3, 3), (), ()]
    assert [one.rating for one in found] == [5, None, 1]
    assert [one.user for one in found] == ["ann", "bob", "eve"]
    assert all(len(one.hits) == 5 and one.query == "matrix" for one in found)
    assert all((one.experiment, one.variant) == ("", "") for one in found)
    assert all(one.latency_ms > 0 for one in found)


def test_a_window_is_half_open(client: TestClient, records: PlatformRecords) -> None:
    for user in ("ann", "bob", "eve"):
        ask(client, user)
    first, second, third = records.impressions(0, time.time())
    assert first.at < second.at < third.at
    assert records.impressions(first.at, third.at) == [first, second]
    assert records.impressions(third.at, first.at) == []


def test_an_experiment_can_be_picked_out(
    client: TestClient, place: Place, records: PlatformRecords
) -> None:
    ask(client, "before")
    old = place.desired.read().release.digest
    new = place.release(depth=20).digest
    place.commit("v2", new, Holdback("watch", old, 0.5))
    while client.get("/readyz").json()["release"] != new:
        pass
    for number in range(20):
        ask(client, f"user-{number}")
    inside = records.impressions(0, time.time(), "watch")
    assert {one.user for one in inside} == {f"user-{number}" for number in range(20)}
    assert {(one.variant, one.release) for one in inside} == {("live", new), ("holdback", old)}
    assert [one.user for one in records.impressions(0, time.time(), "")] == ["before"]
    assert len(records.impressions(0, time.time())) == 21


def test_a_search_that_a_release_fails_to_answer_is_on_record(
    client: TestClient, records: PlatformRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError("secret words of a user")

    since = time.time()
    with monkeypatch.context() as patch:
        patch.setattr("predator.search.serving.platform.rank", broken)
        with pytest.raises(ZeroDivisionError):
            client.post("/search", json={"query": "matrix", "user_id": "ann"})
    served = ask(client, "bob")
    (found,) = records.failures(since, time.time())
    assert (found.user, found.experiment, found.variant) == ("ann", "", "")
    assert found.release == client.get("/readyz").json()["release"]
    assert [one.query_id for one in records.impressions(since, time.time())] == [served]
    assert records.failures(since, found.at) == records.failures(since, 9e9, "exp-1") == []


def test_documents_are_those_that_can_be_found(
    client: TestClient, records: PlatformRecords
) -> None:
    found = records.documents()
    assert [one.id for one in found] == [one.id for one in documents(20)]
    assert all(one.language == "en" for one in found)
    assert set(records.arrivals()) == {one.id for one in found}
    assert all(at <= time.time() for at in records.arrivals().values())


def test_log_lines_are_counted_by_fingerprint(client: TestClient, records: PlatformRecords) -> None:
    counts = records.log_counts(0, time.time())
    assert counts["etl/warning: the document is empty after cleaning"] == 1
    assert counts["etl/info: documents indexed"] >= 1
    assert records.log_counts(time.time(), time.time() + 1) == {}


def test_the_backlog_is_as_old_as_its_oldest_document(tmp_path: Path) -> None:
    store = Store(tmp_path / "platform.db")
    records = PlatformRecords(tmp_path / "platform.db")
    assert records.backlog_s(100.0) == 0.0
    store.put_documents([Document("a", "t", "")], "queued", 40.0).result()
    store.put_documents([Document("b", "t", "")], "queued", 70.0).result()
    assert records.backlog_s(100.0) == 60.0
    assert records.backlog_s(10.0) == 0.0
    store.put_documents([Document("a", "t", "")], "indexed", 90.0).result()
    assert records.backlog_s(100.0) == 30.0
    store.close()


def test_records_that_cannot_be_read_are_an_error_not_silence(tmp_path: Path) -> None:
    """No data is not good news: a missing or broken file must not look like a quiet day."""
    missing = PlatformRecords(tmp_path / "missing.db")
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    (tmp_path / "empty.db").touch()
    for records in (missing, *(PlatformRecords(tmp_path / f"{n}.db") for n in ("broken", "empty"))):
        for call in (
            lambda r=records: r.impressions(0, 1),
            lambda r=records: r.log_counts(0, 1),
            lambda r=records: r.backlog_s(1),
            records.documents,
            records.arrivals,
        ):
            with pytest.raises(PredatorError, match="cannot be read"):
                call()
    assert not (tmp_path / "missing.db").exists()

"""The HTTP face: what users send, what they get, and what is never recorded."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from predator.search.desired import Holdback
from tests.adapters.platform.platforms import TOKEN, Place
from tests.search.fakes import documents

DOCUMENTS = documents(60)
NOW = "2025-12-07T01:23:45.678Z"
HOSTILE = [
    "'; DROP TABLE ubi_queries; --",
    '" OR 1=1 --',
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "{{7*7}} ${7*7} %s %n",
    "\x00\x01\x1b[31m",
    "\u202eright to left",
    "a" * 1000,
    "🐍" * 500,
    "AND OR NOT ( ) [ ] : ^ ~ * ? + -",
    "title:x^1e309",
    "\ufeff\u200b x",
    "не знайдено",
]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def empty(place: Place) -> Iterator[TestClient]:
    """A platform without a release and without documents."""
    with TestClient(place.app(), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(place: Place) -> Iterator[TestClient]:
    """A platform with a release and sixty documents."""
    place.commit("v1", place.release().digest)
    with TestClient(place.app(), raise_server_exceptions=False) as client:
        send(client, DOCUMENTS)
        yield client


def send(client: TestClient, docs: list[Any]) -> None:
    body = [{"id": d.id, "title": d.title, "text": d.text} for d in docs]
    assert client.post("/documents", json=body).status_code == 202
    while client.get("/readyz").json()["etl_pending"]:
        pass


def rows(place: Place, sql: str) -> list[Any]:
    with sqlite3.connect(place.database) as connection:
        found = connection.execute(sql).fetchall()
    connection.close()
    return found


def search(client: TestClient, query: str = "matrix vector", **more: object) -> dict[str, Any]:
    answer = client.post("/search", json={"query": query, **more})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def click(query_id: str, ordinal: int = 1, **more: object) -> dict[str, Any]:
    return {
        "action_name": "click",
        "timestamp": NOW,
        "query_id": query_id,
        "event_attributes": {
            "object": {"object_id": "doc-1", "object_id_field": "_id"},
            "position": {"ordinal": ordinal},
        },
        **more,
    }


def check_problem(answer: Any, status: int) -> str:
    """The detail of an RFC 9457 problem: one line, not too long, and no stack trace."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert problem["status"] == status
    detail: str = problem["detail"]
    assert detail.isprintable() and 0 < len(detail) <= 301
    assert "Traceback" not in detail
    return detail


class TestSearch:
    def test_what_is_found_is_what_was_sent(self, client: TestClient) -> None:
        wanted = DOCUMENTS[7]
        found = search(client, f"{wanted.title} {wanted.text}", k=5, user_id="ann")
        assert found["hits"][0]["id"] == wanted.id
        assert len(found["hits"]) == 5
        hit = found["hits"][0]
        assert hit["title"] == wanted.title
        assert hit["summary"] and hit["summary"] in wanted.text
        assert [h["score"] for h in found["hits"]] == sorted(
            (h["score"] for h in found["hits"]), reverse=True
        )
        assert found["took_ms"] > 0
        assert (found["experiment_id"], found["variant"]) == (None, None)

    @pytest.mark.parametrize(("mode", "summary"), [("full", True), ("fast", True), ("off", False)])
    def test_summaries_come_in_modes(self, client: TestClient, mode: str, summary: bool) -> None:
        hits = search(client, mode=mode)["hits"]
        assert any(hit["summary"] for hit in hits) is summary

    def test_every_answer_is_recorded_as_a_ubi_query(
        self, client: TestClient, place: Place
    ) -> None:
        found = search(client, "sort array", user_id="ann", client_id="browser")
        client.post("/events", json=[click(found["query_id"])])  # after it on the same queue
        [row] = rows(
            place, "SELECT query_id, user_query, client_id, user, release FROM ubi_queries"
        )
        assert row == (found["query_id"], "sort array", "browser", "ann", found["release"])

    def test_a_query_that_matches_nothing_is_answered(self, client: TestClient) -> None:
        assert search(client, "zzzzqqq")["hits"] is not None

    @pytest.mark.parametrize("text", HOSTILE, ids=ascii)
    def test_hostile_text_is_only_text(self, client: TestClient, place: Place, text: str) -> None:
        if not text.strip("\x00\x01\x1b "):
            pytest.fail("not a test")
        answer = client.post("/search", json={"query": text, "user_id": text[:100]})
        assert answer.status_code == 200
        client.post("/events", json=[click(answer.json()["query_id"])])
        [row] = rows(place, "SELECT user_query, user FROM ubi_queries")
        assert row == (text, text[:100])

    def test_documents_with_hostile_text_are_found_as_they_are(self, client: TestClient) -> None:
        body = [
            {"id": f"{i} <&'\"../\\", "title": text[:200] + " hostileword", "text": text}
            for i, text in enumerate(HOSTILE)
        ]
        assert client.post("/documents", json=body).status_code == 202
        while client.get("/readyz").json()["etl_pending"]:
            pass
        hits = search(client, "hostileword", k=50)["hits"]
        assert {hit["id"] for hit in hits} >= {one["id"] for one in body}

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({"query": ""}, "query"),
            ({"query": " \t\n"}, "query"),
            ({"query": "x" * 1001}, "query"),
            ({"query": None}, "query"),
            ({"query": 7}, "query"),
            ({"query": ["x"]}, "query"),
            ({}, "query"),
            ({"query": "x", "k": 0}, "k"),
            ({"query": "x", "k": -1}, "k"),
            ({"query": "x", "k": 10**6}, "k"),
            ({"query": "x", "k": 10**30}, "k"),
            ({"query": "x", "k": 1.5}, "k"),
            ({"query": "x", "k": "10"}, "k"),
            ({"query": "x", "k": True}, "k"),
            ({"query": "x", "k": None}, "k"),
            ({"query": "x", "user_id": "u" * 101}, "user_id"),
            ({"query": "x", "mode": "loud"}, "mode"),
            ({"query": "x", "qury": "y"}, "qury"),
            ({"query": "x", "line\nbreak\x1b[31m": 1}, "line break"),
            ({"query": "x", "k" * 5000: 1}, "kkk"),
            ([], ""),
            ("x", ""),
            (None, ""),
        ],
        ids=lambda value: ascii(value)[:40],
    )
    def test_what_cannot_be_searched_is_refused_in_one_line(
        self, client: TestClient, place: Place, body: Any, named: str
    ) -> None:
        assert named in check_problem(client.post("/search", json=body), 422)
        assert rows(place, "SELECT count(*) FROM ubi_queries") == [(0,)]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"\xff\xfe",
            b'{"query": "\xff"}',
            b'{"query": "\\ud800"}',
            b'{"\\ud800": 1, "query": "x"}',
            b'{"query": "x", "k": NaN}',
            b'{"query": "x", "k": Infinity}',
            b'{"query": "x", "k": ' + b"9" * 5000 + b"}",
            b"[" * 100_000,
            b'{"query": "x"} {"query": "y"}',
        ],
        ids=lambda body: ascii(body)[:30],
    )
    def test_what_is_no_json_is_refused_in_one_line(self, client: TestClient, body: bytes) -> None:
        answer = client.post("/search", content=body, headers={"content-type": "application/json"})
        check_problem(answer, 422)

    def test_a_megabyte_is_too_much(self, client: TestClient) -> None:
        detail = check_problem(client.post("/search", json={"query": "x" * 2**20}), 413)
        assert "at most 262144 bytes" in detail

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("GET", "/nothing", 404), ("GET", "/search", 405), ("DELETE", "/documents", 405)],
    )
    def test_a_wrong_address_is_a_problem_too(
        self, client: TestClient, method: str, path: str, status: int
    ) -> None:
        answer = client.request(method, path)
        check_problem(answer, status)
        assert status != 405 or answer.headers["allow"] == "POST"


class TestArms:
    def test_users_stay_in_their_arm_and_are_told_which(self, place: Place) -> None:
        old, new = place.release(depth=10).digest, place.release(depth=20).digest
        place.commit("v1", old)
        place.commit("v2", new, Holdback("watch", old, 0.5))
        seen: dict[str, set[tuple[str, str]]] = {}
        for _ in range(2):  # a restart changes nothing
            with TestClient(place.app()) as client:
                for number in [*range(30), *range(30)]:
                    found = search(client, user_id=f"user-{number}")
                    assert found["experiment_id"] == "watch"
                    arm = (found["variant"], found["release"])
                    seen.setdefault(f"user-{number}", set()).add(arm)
        assert all(len(arms) == 1 for arms in seen.values())
        arms = [arm for one in seen.values() for arm in one]
        assert set(arms) == {("live", new), ("holdback", old)}
        assert 5 <= arms.count(("live", new)) <= 25

    def test_a_session_stands_in_for_a_user(self, place: Place) -> None:
        old, new = place.release(depth=10).digest, place.release(depth=20).digest
        place.commit("v1", old)
        place.commit("v2", new, Holdback("watch", old, 0.5))
        with TestClient(place.app()) as client:
            for name in ("session_id", "client_id"):
                for number in range(10):
                    same = {search(client, **{name: f"s{number}"})["release"] for _ in range(3)}
                    assert len(same) == 1


class TestEvents:
    def test_events_are_on_disk_when_they_are_acknowledged(
        self, client: TestClient, place: Place
    ) -> None:
        found = search(client)
        batch = [click(found["query_id"], n) for n in (1, 3)]
        batch.append(
            {
                "action_name": "view",
                "timestamp": NOW,
                "query_id": found["query_id"],
                "event_attributes": {"position": {"xy": {"x": 1.5, "y": 2}}, "more": [1]},
            }
        )
        answer = client.post("/events", json=batch)
        assert (answer.status_code, answer.json()) == (202, {"accepted": 3})
        kept = rows(place, "SELECT action_name, ordinal, object_id, at, body FROM ubi_events")
        assert [row[:3] for row in kept] == [
            ("click", 1, "doc-1"), ("click", 3, "doc-1"), ("view", None, None),
        ]  # fmt: skip
        assert kept[0][3] == 1765070625.678
        assert json.loads(kept[2][4])["event_attributes"]["more"] == [1]

    def test_an_event_about_an_unknown_query_is_named_and_nothing_is_kept(
        self, client: TestClient, place: Place
    ) -> None:
        found = search(client)
        batch = [click(found["query_id"]), click("nobody's"), click(found["query_id"])]
        detail = check_problem(client.post("/events", json=batch), 422)
        assert detail.startswith('event 1: query_id "nobody\'s" is unknown')
        assert rows(place, "SELECT count(*) FROM ubi_events") == [(0,)]
        metrics = client.get("/metrics").text
        assert 'predator_events_total{action="click"}' not in metrics

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            ({"action_name": ""}, "action_name"),
            ({"action_name": "a" * 101}, "action_name"),
            ({"action_name": None}, "action_name"),
            ({"timestamp": None}, "timestamp"),
            ({"timestamp": "yesterday"}, "timestamp"),
            ({"timestamp": 1765070625}, "timestamp"),
            ({"timestamp": "1765070625"}, "timestamp"),
            ({"timestamp": "2025-12-07"}, "timestamp"),
            ({"timestamp": "2025-13-07T00:00:00Z"}, "timestamp"),
            ({"timestamp": "99999-01-01T00:00:00Z"}, "timestamp"),
            ({"query_id": ""}, "query_id"),
            ({"query_id": None}, "query_id"),
            ({"query_id": "q" * 101}, "query_id"),
            ({"user_id": "u" * 101}, "user_id"),
            ({"message": "m" * 1025}, "message"),
            ({"event_attributes": []}, "event_attributes"),
            ({"event_attributes": {}}, "position"),
            ({"event_attributes": {"position": {}}}, "position"),
            ({"event_attributes": {"position": {"ordinal": 0}}}, "ordinal"),
            ({"event_attributes": {"position": {"ordinal": -1}}}, "ordinal"),
            ({"event_attributes": {"position": {"ordinal": 10**9}}}, "ordinal"),
            ({"event_attributes": {"position": {"ordinal": 1.5}}}, "ordinal"),
            ({"event_attributes": {"position": {"ordinal": "1"}}}, "ordinal"),
            ({"event_attributes": {"position": {"xy": {"x": 1}}}}, "y"),
            ({"event_attributes": {"position": {"ordinal": 1}, "object": {}}}, "object_id"),
            (
                {"event_attributes": {"position": {"ordinal": 1}, "object": {"object_id": [1]}}},
                "object_id",
            ),
        ],
        ids=lambda value: ascii(value)[:60],
    )
    def test_a_malformed_event_spoils_its_batch(
        self, client: TestClient, place: Place, change: dict[str, Any], named: str
    ) -> None:
        found = search(client)
        batch = [click(found["query_id"]), {**click(found["query_id"]), **change}]
        detail = check_problem(client.post("/events", json=batch), 422)
        assert detail.startswith("1") and named in detail
        assert rows(place, "SELECT count(*) FROM ubi_events") == [(0,)]

    @pytest.mark.parametrize("body", [[], {}, None, [[]], [None], ["x"], [{}]], ids=ascii)
    def test_what_is_no_batch_is_refused(self, client: TestClient, body: Any) -> None:
        check_problem(client.post("/events", json=body), 422)

    def test_a_batch_has_an_end(self, client: TestClient, place: Place) -> None:
        query_id = search(client)["query_id"]
        small = {"action_name": "view", "timestamp": NOW, "query_id": query_id}
        check_problem(client.post("/events", json=[small] * 1001), 422)
        assert client.post("/events", json=[small] * 1000).status_code == 202
        assert rows(place, "SELECT count(*) FROM ubi_events") == [(1000,)]

    def test_text_that_is_no_unicode_is_refused_wherever_it_hides(
        self, client: TestClient, place: Place
    ) -> None:
        query_id = search(client)["query_id"]
        event = {**click(query_id), "extra": "HERE"}
        for hidden in ({"extra": "HERE"}, {"extra": {"HERE": 1}}, {"action_name": "HERE"}):
            body = json.dumps([{**event, **hidden}]).replace("HERE", "\\ud800").encode()
            answer = client.post(
                "/events", content=body, headers={"content-type": "application/json"}
            )
            check_problem(answer, 422)
        assert rows(place, "SELECT count(*) FROM ubi_events") == [(0,)]

    @pytest.mark.parametrize(
        ("text", "at"),
        [
            ("2018-11-13T20:20:39", 1542140439.0),
            ("2018-11-13T20:20:39Z", 1542140439.0),
            ("2018-11-13T22:20:39+02:00", 1542140439.0),
            ("2018-11-13 20:20:39.5Z", 1542140439.5),
            ("0001-01-01T00:00:00", -62135596800.0),
            ("0001-01-01T00:00:00+14:00", -62135647200.0),
            ("9999-12-31T23:59:59-14:00", 253402351199.0),
        ],
    )
    def test_times_are_utc_unless_they_say_otherwise(
        self, client: TestClient, place: Place, text: str, at: float
    ) -> None:
        event = {**click(search(client)["query_id"]), "timestamp": text}
        assert client.post("/events", json=[event]).status_code == 202
        assert rows(place, "SELECT at FROM ubi_events") == [(at,)]

    def test_events_about_a_search_before_a_restart_are_taken(self, place: Place) -> None:
        place.commit("v1", place.release().digest)
        with TestClient(place.app()) as client:
            query_id = search(client)["query_id"]
        with TestClient(place.app()) as client:
            assert client.post("/events", json=[click(query_id)]).status_code == 202


class TestFeedback:
    def test_the_newest_rating_counts(self, client: TestClient, place: Place) -> None:
        query_id = search(client)["query_id"]
        for rating in (1, 5):
            answer = client.post("/feedback", json={"query_id": query_id, "rating": rating})
            assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
        assert rows(place, "SELECT query_id, rating FROM ratings") == [(query_id, 5)]

    @pytest.mark.parametrize("rating", [0, 6, -1, 10**20, 3.5, "5", True, None, [5]], ids=ascii)
    def test_a_rating_is_a_whole_number_from_1_to_5(
        self, client: TestClient, place: Place, rating: Any
    ) -> None:
        body = {"query_id": search(client)["query_id"], "rating": rating}
        assert "rating" in check_problem(client.post("/feedback", json=body), 422)
        assert rows(place, "SELECT count(*) FROM ratings") == [(0,)]

    def test_a_rating_of_an_unknown_query_is_refused(
        self, client: TestClient, place: Place
    ) -> None:
        body = {"query_id": "q", "rating": 5}
        assert "'q' is unknown" in check_problem(client.post("/feedback", json=body), 422)
        assert rows(place, "SELECT count(*) FROM ratings") == [(0,)]


class TestDocuments:
    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ([], "1 item"),
            ([{"title": "no id"}], "0.id"),
            ([{"id": ""}], "0.id"),
            ([{"id": "x" * 257}], "0.id"),
            ([{"id": "a\nb"}], "0.id"),
            ([{"id": 7}], "0.id"),
            ([{"id": "a"}, {"id": "b", "txt": "?"}], "1.txt"),
            ([{"id": "a", "title": "x" * 10_001}], "0.title"),
            ([{"id": "a", "text": "x" * 1_000_001}], "0.text"),
        ],
        ids=lambda value: ascii(value)[:40],
    )
    def test_a_malformed_document_spoils_its_batch(
        self, empty: TestClient, place: Place, body: Any, named: str
    ) -> None:
        assert named in check_problem(empty.post("/documents", json=body), 422)
        assert rows(place, "SELECT count(*) FROM documents") == [(0,)]

    def test_a_document_that_comes_again_replaces_itself(self, client: TestClient) -> None:
        body = [{"id": "doc-3", "title": "quokka", "text": "an unheard-of animal"}]
        client.post("/documents", json=body)
        while client.get("/readyz").json()["etl_pending"]:
            pass
        assert client.get("/readyz").json()["documents"] == len(DOCUMENTS)
        assert search(client, "quokka")["hits"][0]["id"] == "doc-3"

    def test_what_nothing_is_left_of_is_put_aside(self, client: TestClient, place: Place) -> None:
        client.post("/documents", json=[{"id": "void", "title": " ", "text": "\u200b"}])
        while client.get("/readyz").json()["etl_pending"]:
            pass
        client.post("/feedback", json={"query_id": search(client)["query_id"], "rating": 5})
        assert rows(place, "SELECT status FROM documents WHERE id='void'") == [("quarantined",)]
        assert "predator_documents_quarantined_total 1.0" in client.get("/metrics").text


class TestOperations:
    def test_before_a_release_it_is_alive_but_not_ready(self, empty: TestClient) -> None:
        assert empty.get("/healthz").json() == {"status": "ok"}
        state = empty.get("/readyz")
        assert state.status_code == 503
        assert state.json()["ready"] is False
        detail = check_problem(empty.post("/search", json={"query": "x"}), 503)
        assert "no release is live yet" in detail

    def test_with_a_release_it_is_ready(self, client: TestClient, place: Place) -> None:
        state = client.get("/readyz")
        assert state.status_code == 200
        assert state.json() == {
            "ready": True,
            "release": place.desired.read().release.digest,
            "version": "v1",
            "revision": place.gitops.head(),
            "pinned": False,
            "healthy": True,
            "detail": "",
            "documents": 60,
            "etl_pending": 0,
            "etl_backlog_s": 0.0,
            "vector_backlog": 0,
            "preparing": [],
        }

    def test_metrics_can_be_scraped(self, client: TestClient, place: Place) -> None:
        found = search(client)
        client.post("/events", json=[click(found["query_id"])])
        client.post("/feedback", json={"query_id": found["query_id"], "rating": 4})
        client.post("/search", json={"query": ""})
        client.post("/search", json={"query": "x" * 2**20})
        client.get("/nothing/" + "x" * 50)
        answer = client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        families = {f.name: f for f in text_string_to_metric_families(answer.text)}
        values = {
            (sample.name, *sorted(sample.labels.values())): sample.value
            for family in families.values()
            for sample in family.samples
        }
        assert values["predator_search_seconds_count",] == 1
        assert values["predator_documents",] == 60
        assert values["predator_events_total", "click"] == 1
        assert values["predator_rating_sum",] == 4
        counted = "predator_http_requests_total"
        assert values[counted, "/search", "200"] == 1
        assert values[counted, "/search", "422"] == 1
        assert values[counted, "/search", "413"] == 1
        assert values[counted, "404", "other"] == 1
        digest = place.desired.read().release.digest
        assert values["predator_release_info", digest, "v1"] == 1

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            TOKEN,
            f"Bearer {TOKEN[:-1]}",
            f"Bearer {TOKEN}x",
            f"bearer {TOKEN}",
            "Bearer é",
        ],
        ids=ascii,
    )
    def test_without_the_token_nothing_is_flipped(
        self, client: TestClient, place: Place, header: str | None
    ) -> None:
        headers = {} if header is None else {b"authorization": header.encode()}
        body = {"release": place.desired.read().release.digest}
        detail = check_problem(client.post("/control/flip", json=body, headers=headers), 401)
        assert detail == "the control token is missing or wrong"
        assert client.get("/readyz").json()["pinned"] is False
        # Who may not come in learns nothing about the form either.
        check_problem(client.post("/control/flip", json={"x": 1}, headers=headers), 401)

    def test_the_token_is_compared_in_constant_time(
        self, client: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import hmac

        seen: list[tuple[bytes, bytes]] = []

        def compare(given: bytes, wanted: bytes) -> bool:
            seen.append((given, wanted))
            return given == wanted

        monkeypatch.setattr(hmac, "compare_digest", compare)
        client.post("/control/flip", json={}, headers={"authorization": "Bearer x"})
        assert seen == [(b"Bearer x", f"Bearer {TOKEN}".encode())]

    def test_with_the_token_a_loaded_release_takes_all_traffic(self, place: Place) -> None:
        old, new = place.release(depth=10).digest, place.release(depth=20).digest
        place.commit("v1", old)
        headers = {"authorization": f"Bearer {TOKEN}"}
        with TestClient(place.app(), headers=headers) as client:
            place.commit("v2", new, Holdback("watch", old, 0.2))
            while client.get("/readyz").json()["release"] != new:
                pass
            state = client.post("/control/flip", json={"release": old})
            assert (state.status_code, state.json()["pinned"]) == (200, True)
            assert {search(client, user_id=f"u{n}")["release"] for n in range(20)} == {old}
            check_problem(client.post("/control/flip", json={"release": "f" * 64}), 422)
            check_problem(client.post("/control/flip", json={"release": "../x"}), 422)

    def test_without_a_token_there_is_no_control(self, place: Place) -> None:
        place.commit("v1", place.release().digest)
        with TestClient(place.app(token=None)) as client:
            check_problem(client.post("/control/flip", json={"release": "f" * 64}), 404)

    def test_a_defect_of_ours_is_a_problem_without_details(
        self, client: TestClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("secret path /etc/x")

        monkeypatch.setattr("predator.search.engine.Engine.rank", fail)
        detail = check_problem(client.post("/search", json={"query": "x"}), 500)
        assert "secret" not in detail


class TestDescription:
    ROUTES: ClassVar = {
        ("post", "/search"): {"200", "413", "422", "503"},
        ("post", "/events"): {"202", "413", "422"},
        ("post", "/feedback"): {"202", "413", "422"},
        ("post", "/documents"): {"202", "413", "422"},
        ("get", "/healthz"): {"200"},
        ("get", "/readyz"): {"200", "503"},
        ("get", "/metrics"): {"200"},
        ("post", "/control/flip"): {"200", "401", "413", "422"},
    }

    def test_every_route_describes_every_answer(self, empty: TestClient) -> None:
        schema = empty.get("/openapi.json").json()
        found = {
            (method, path): set(operation["responses"])
            for path, methods in schema["paths"].items()
            for method, operation in methods.items()
        }
        assert found == self.ROUTES
        assert "HTTPValidationError" not in schema["components"]["schemas"]
        for path, methods in schema["paths"].items():
            for operation in methods.values():
                assert operation["description"] and operation["tags"]
                for status, response in operation["responses"].items():
                    [(kind, content)] = response["content"].items()
                    assert content["schema"]
                    if path == "/metrics":
                        assert kind == "text/plain"
                    elif status >= "400" and path != "/readyz":
                        assert kind == "application/problem+json"
                        assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                    else:
                        assert kind == "application/json"
                        assert "$ref" in content["schema"]

    def test_answers_are_what_the_description_says(self, client: TestClient) -> None:
        jsonschema = pytest.importorskip("jsonschema")
        schema = client.get("/openapi.json").json()
        query_id = search(client)["query_id"]
        calls = [
            client.post("/search", json={"query": "x"}),
            client.post("/search", json={"query": ""}),
            client.post("/search", json={"query": "x" * 2**20}),
            client.post("/events", json=[click(query_id)]),
            client.post("/events", json=[click("?")]),
            client.post("/feedback", json={"query_id": query_id, "rating": 5}),
            client.post("/documents", json=[{"id": "a", "text": "b"}]),
            client.post("/control/flip", json={}),
            client.get("/healthz"),
            client.get("/readyz"),
        ]
        for answer in calls:
            request = answer.request
            operation = schema["paths"][request.url.path][request.method.lower()]
            content = operation["responses"][str(answer.status_code)]["content"]
            kind = answer.headers["content-type"]
            wanted = {**content[kind]["schema"], "components": schema["components"]}
            jsonschema.Draft202012Validator(wanted).validate(answer.json())

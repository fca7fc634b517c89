"""Events and searches as User Behavior Insights 1.3 describes them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.adapters.platform.platforms import Place

SPECS = Path(__file__).parents[4] / "shared/specs/opensearch/ubi"
EVENTS: list[dict[str, Any]] = [
    {"action_name": "click", "timestamp": "2018-11-13T20:20:39+00:00"},
    {"action_name": "add_to_cart", "timestamp": "2018-11-13T20:20:39Z"},
    {"action_name": "impression", "timestamp": "2018-11-13T20:20:39"},
    {
        "action_name": "anything at all",
        "timestamp": "2024-05-16T12:34:56.789Z",
        "application": "type-ahead",
        "session_id": "84266fdbd31d4c2c6d0665f7e8380fa3",
        "client_id": "BugsBunny::Firefox@0967084",
        "user_id": "5e3b2a1c-8b7d-4f2e-a3d4-c9b2e1f3a4b5",
        "message_type": "QUERY",
        "message": "m" * 1024,
        "user_query": "laptop",
        "page_id": "/docs/latest/",
    },
    {
        "action_name": "click",
        "timestamp": "2024-05-16T12:34:56.789Z",
        "event_attributes": {"position": {"ordinal": 24, "page_depth": 3}},
    },
    {
        "action_name": "watch",
        "timestamp": "2024-05-16T12:34:56.789Z",
        "event_attributes": {"position": {"xy": {"x": 1.5, "y": -2}}, "result_count": 7},
    },
    {
        "action_name": "purchase",
        "timestamp": "2024-05-16T12:34:56.789Z",
        "event_attributes": {
            "position": {"ordinal": 1},
            "object": {
                "object_id": 123456,
                "object_id_type": "product",
                "object_id_field": "ssn",
                "internal_id": 7,
                "object_detail": {"price": 1.5, "colours": ["red", None]},
            },
        },
    },
    {
        "action_name": "click",
        "timestamp": "2024-05-16T12:34:56.789Z",
        "event_attributes": {
            "position": {"ordinal": 1},
            "object": {"object_id": "ISBN 0-061-96436-0"},
        },
    },
]


@pytest.fixture
def client(tmp_path: Path) -> Iterator[TestClient]:
    place = Place(tmp_path)
    place.commit("v1", place.release().digest)
    with TestClient(place.app()) as client:
        yield client


def schema(name: str) -> Any:
    path = SPECS / "1.3.0" / name
    if not path.exists():
        pytest.skip("the UBI schemas are not beside the project")
    value = json.loads(path.read_text())
    properties = value["properties"]
    if "action_name" in properties:
        # As published, "oneOf" lists the common names and any name at all: "click" matches twice.
        for part in (
            properties["action_name"],
            properties["event_attributes"]["properties"]["object"]["properties"]["object_id_type"],
        ):
            part["anyOf"] = part.pop("oneOf")
    return pytest.importorskip("jsonschema").Draft202012Validator(value)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["action_name"])
def test_an_event_of_the_standard_is_taken_and_kept_whole(
    client: TestClient, tmp_path: Path, event: dict[str, Any]
) -> None:
    query_id = client.post("/search", json={"query": "x"}).json()["query_id"]
    sent = {**event, "query_id": query_id}
    answer = client.post("/events", json=[sent])
    assert answer.status_code == 202, answer.text
    with sqlite3.connect(tmp_path / "platform.db") as connection:
        [(body,)] = connection.execute("SELECT body FROM ubi_events").fetchall()
    connection.close()
    kept = json.loads(body)
    assert kept.pop("timestamp")[:19] == sent.pop("timestamp")[:19]
    assert without_nulls(kept) == without_nulls(sent)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["action_name"])
def test_the_standard_agrees_that_these_are_events(event: dict[str, Any]) -> None:
    schema("event.schema.json").validate({**event, "query_id": "q"})


def test_what_is_kept_is_an_event_of_the_standard(client: TestClient, tmp_path: Path) -> None:
    validator = schema("event.schema.json")
    query_id = client.post("/search", json={"query": "x"}).json()["query_id"]
    client.post("/events", json=[{**event, "query_id": query_id} for event in EVENTS])
    with sqlite3.connect(tmp_path / "platform.db") as connection:
        bodies = connection.execute("SELECT body FROM ubi_events").fetchall()
    connection.close()
    assert len(bodies) == len(EVENTS)
    for (body,) in bodies:
        validator.validate(json.loads(body))


def test_what_the_standard_calls_malformed_is_refused(client: TestClient) -> None:
    validator = schema("event.schema.json")
    query_id = client.post("/search", json={"query": "x"}).json()["query_id"]
    good = {**EVENTS[6], "query_id": query_id}
    attributes = good["event_attributes"]
    bad = [
        {key: value for key, value in good.items() if key != "action_name"},
        {key: value for key, value in good.items() if key != "timestamp"},
        {**good, "action_name": 7},
        {**good, "client_id": "c" * 101},
        {**good, "message": "m" * 1025},
        {**good, "event_attributes": {"object": attributes["object"]}},
        {**good, "event_attributes": {**attributes, "position": {"ordinal": "first"}}},
        {**good, "event_attributes": {**attributes, "position": {}}},
        {**good, "event_attributes": {**attributes, "object": {"name": "no id"}}},
        {**good, "event_attributes": {**attributes, "object": {"object_id": "x" * 257}}},
    ]
    for event in bad:
        assert not validator.is_valid(event)
        assert client.post("/events", json=[event]).status_code == 422


def test_a_search_answers_as_the_standard_asks(client: TestClient) -> None:
    answer = client.post("/search", json={"query": "x", "client_id": "c"}).json()
    schema("query.response.schema.json").validate(answer)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value

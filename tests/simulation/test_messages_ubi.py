"""The users' client speaks UBI 1.3, and believes only what looks like a search response."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from predator.simulation.messages import (
    Answer,
    User,
    click_events,
    rating_request,
    read_answer,
    search_request,
    timestamp,
)

USER = User("user-1", "browser-1", "user-1-s0")
ANSWER = Answer("query-1", ("a", "b", "c"))
SCHEMA = Path(__file__).parents[2].parent / "shared/specs/opensearch/ubi/1.3.0/event.schema.json"


def check_ubi_event(event: dict[str, Any]) -> None:
    """The parts of UBI 1.3 that the events use."""
    assert event["action_name"] == "click"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])
    for name in ("query_id", "client_id", "session_id", "user_id"):
        assert isinstance(event[name], str) and 0 < len(event[name]) <= 100
    assert isinstance(event["user_query"], str)
    attributes = event["event_attributes"]
    assert len(attributes["object"]["object_id"]) <= 256
    assert attributes["object"]["object_id_field"] == "_id"
    assert type(attributes["position"]["ordinal"]) is int


def test_each_click_is_a_valid_event_about_the_document_clicked() -> None:
    events = click_events(USER, "how to fit", ANSWER, (1, 3), at=1_764_000_000.0467)
    for event in events:
        check_ubi_event(event)
    assert [e["event_attributes"]["object"]["object_id"] for e in events] == ["a", "c"]
    assert [e["event_attributes"]["position"]["ordinal"] for e in events] == [1, 3]
    assert events[0]["timestamp"] == "2025-11-24T16:00:00.046Z"


def test_events_satisfy_the_published_schema() -> None:
    if not SCHEMA.exists():
        pytest.skip("the UBI schema is not beside the project")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text())
    # As published, "oneOf" lists the common names and any name at all, so "click" matches twice.
    action = schema["properties"]["action_name"]
    action["anyOf"] = action.pop("oneOf")
    for event in click_events(USER, "how to fit", ANSWER, (1, 2, 3), at=0.0):
        jsonschema.Draft202012Validator(schema).validate(event)


def test_searches_and_ratings_carry_who_asked() -> None:
    assert search_request(USER, "q", 10) == {
        "query": "q",
        "k": 10,
        "user_id": "user-1",
        "session_id": "user-1-s0",
        "client_id": "browser-1",
    }
    assert rating_request(USER, ANSWER, 4) == {
        "query_id": "query-1",
        "user_id": "user-1",
        "rating": 4,
    }


def test_a_response_is_read_for_its_id_and_hits() -> None:
    body = b'{"query_id": "q", "release": "r", "hits": [{"id": "a", "score": 1}, {"id": "b"}]}'
    assert read_answer(body) == Answer("q", ("a", "b"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"hits": []}',
        b'{"query_id": 1, "hits": []}',
        b'{"query_id": "q", "hits": {}}',
        b'{"query_id": "q", "hits": ["a"]}',
        b'{"query_id": "q", "hits": [{"id": 1}]}',
        b"\xff",
    ],
)
def test_anything_else_is_not_a_response(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_answer(body)


def test_timestamps_are_utc_with_milliseconds() -> None:
    assert timestamp(0.9999) == "1970-01-01T00:00:00.999Z"

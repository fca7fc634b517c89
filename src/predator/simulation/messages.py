"""What the users' client sends: searches, UBI 1.3 events, ratings. And what it reads back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class User:
    """Who asks: ids that stay the same from search to search (a session lasts a few of them)."""

    id: str
    client: str
    session: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The part of a search response that a user acts on."""

    query_id: str
    hits: tuple[str, ...]


def search_request(user: User, text: str, k: int) -> dict[str, Any]:
    """Body of ``POST /search``."""
    return {
        "query": text,
        "k": k,
        "user_id": user.id,
        "session_id": user.session,
        "client_id": user.client,
    }


def read_answer(body: bytes) -> Answer:
    """Parse a search response; ``ValueError`` where it is not one."""
    value = json.loads(body)
    if not isinstance(value, dict):
        raise ValueError("a search response is an object")
    query_id, hits = value.get("query_id"), value.get("hits")
    if not isinstance(query_id, str) or not isinstance(hits, list):
        raise ValueError("a search response has a query_id and a list of hits")
    ids = tuple(hit.get("id") if isinstance(hit, dict) else None for hit in hits)
    if not all(isinstance(identity, str) for identity in ids):
        raise ValueError("a hit has no id")
    return Answer(query_id, tuple(str(identity) for identity in ids))


def click_events(
    user: User, text: str, answer: Answer, clicks: Sequence[int], at: float
) -> list[dict[str, Any]]:
    """UBI 1.3 click events, one for each 1-based position in ``clicks``; ``at`` is unix seconds."""
    return [
        {
            "action_name": "click",
            "timestamp": timestamp(at),
            "query_id": answer.query_id,
            "client_id": user.client,
            "session_id": user.session,
            "user_id": user.id,
            "user_query": text,
            "event_attributes": {
                "object": {"object_id": answer.hits[position - 1], "object_id_field": "_id"},
                "position": {"ordinal": position},
            },
        }
        for position in clicks
    ]


def rating_request(user: User, answer: Answer, rating: int) -> dict[str, Any]:
    """Body of ``POST /feedback``."""
    return {"query_id": answer.query_id, "user_id": user.id, "rating": rating}


def timestamp(at: float) -> str:
    """ISO 8601 in UTC with milliseconds and the ``Z`` that OpenSearch's mapping wants."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"

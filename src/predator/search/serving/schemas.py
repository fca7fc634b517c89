"""What the HTTP API takes and gives."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

MAX_QUERY = 1000
MAX_K = 100
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f]*$")
]
UbiName = Annotated[str, StringConstraints(max_length=100)]
_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d")


def _in_utc(moment: datetime) -> datetime:
    """ISO 8601 without an offset is taken as UTC, on every machine."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _is_iso(value: object) -> object:
    """Numbers, which would be taken for unix seconds or milliseconds by their size, are not."""
    if not isinstance(value, str) or not _DATE_TIME.match(value):
        raise ValueError("a timestamp looks like 2025-12-07T01:23:45Z")
    return value


AwareTimestamp = Annotated[datetime, BeforeValidator(_is_iso), AfterValidator(_in_utc)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SearchRequest(Strict):
    """A search. ``user_id`` (or ``session_id``) keeps a user in one arm of an experiment."""

    query: str = Field(
        min_length=1, max_length=MAX_QUERY, pattern=r"\S", description="what is looked for"
    )
    k: int = Field(10, ge=1, le=MAX_K, strict=True, description="how many hits")
    user_id: UbiName | None = None
    session_id: UbiName | None = None
    client_id: UbiName | None = None
    mode: Literal["full", "fast", "off"] = Field("full", description="how hits are summarised")


class Hit(BaseModel):
    id: str
    title: str
    score: float
    category: str
    language: str
    entities: list[str]
    summary: str


class SearchResponse(BaseModel):
    """``release`` and ``variant`` say which release answered and in which arm."""

    query_id: str
    release: str
    experiment_id: str | None
    variant: str | None
    hits: list[Hit]
    took_ms: float


class EventObject(BaseModel):
    model_config = ConfigDict(extra="allow")
    object_id: Annotated[str, StringConstraints(max_length=256)] | int
    object_id_type: UbiName | None = None
    object_id_field: UbiName | None = None


class Coordinates(BaseModel):
    model_config = ConfigDict(extra="allow", allow_inf_nan=False)
    x: float
    y: float


class Position(BaseModel):
    """``ordinal`` is the 1-based place in the list of hits, ``xy`` a point on the screen."""

    model_config = ConfigDict(extra="allow")
    ordinal: int | None = Field(None, ge=1, le=1_000_000, strict=True)
    xy: Coordinates | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.ordinal is None and self.xy is None:
            raise ValueError("a position has an ordinal or xy")
        return self


class EventAttributes(BaseModel):
    model_config = ConfigDict(extra="allow")
    position: Position
    object: EventObject | None = None


class Event(BaseModel):
    """A UBI 1.3 event about a search that was served here. More fields are kept as they come."""

    model_config = ConfigDict(extra="allow")

    action_name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    timestamp: AwareTimestamp
    query_id: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    application: UbiName | None = None
    session_id: UbiName | None = None
    client_id: UbiName | None = None
    user_id: UbiName | None = None
    message_type: UbiName | None = None
    message: Annotated[str, StringConstraints(max_length=1024)] | None = None
    user_query: Annotated[str, StringConstraints(max_length=MAX_QUERY)] | None = None
    event_attributes: EventAttributes | None = None


class Rating(Strict):
    """How satisfied a user was with one search, 1 to 5."""

    query_id: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    rating: int = Field(ge=1, le=5, strict=True)
    user_id: UbiName | None = None


class NewDocument(Strict):
    """A document for the index."""

    id: Name
    title: str = Field("", max_length=10_000)
    text: str = Field("", max_length=1_000_000)
    category: Annotated[str, StringConstraints(max_length=100)] = ""


class Health(BaseModel):
    status: Literal["ok"] = "ok"


class Accepted(BaseModel):
    accepted: int


class Preparing(BaseModel):
    """An encoder that a release waits for: documents that have a vector of it, of all."""

    encoder: str
    documents: int
    total: int
    eta_s: float | None


class Readiness(BaseModel):
    """What is live, and what still waits behind it."""

    ready: bool
    release: str
    version: str
    revision: str
    pinned: bool
    healthy: bool
    detail: str
    documents: int
    etl_pending: int
    etl_backlog_s: float
    vector_backlog: int
    preparing: list[Preparing] = []


class Flip(Strict):
    release: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str

"""Searches as columns of JSON: only what a decider reads, and no user's name or words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from predator.domain.errors import InputError
from predator.journal.redact import redact
from predator.ports.feedback import Impression
from predator.ports.runtime import Json

Column = Literal["user", "variant", "release", "clicks", "documents", "rating", "latency_ms", "at"]


def columns(impressions: Sequence[Impression], *names: Column) -> Json:
    """The named columns of ``impressions``, in their order.

    Users are numbered as they first come: deciders ask who is who, never who it is; so are the
    ``documents`` that were clicked (``None`` for a click below the last hit). Arms and releases are
    indices into their distinct ``values``. ``at`` is in seconds from the first, to the millisecond.
    ``InputError`` for a latency that is not finite.
    """
    return {"n": len(impressions), **{name: _WRITE[name](impressions) for name in names}}


def searches(value: Json) -> list[Impression]:
    """Impressions with the columns of ``value``, empty in all else."""
    n = int(value["n"])
    users = [f"u{number}" for number in value.get("user", [0] * n)]
    variants = _spelt(value["variant"]) if "variant" in value else [""] * n
    releases = _spelt(value["release"]) if "release" in value else [""] * n
    clicks = value.get("clicks", [()] * n)
    rows = zip(
        users,
        variants,
        releases,
        clicks,
        value.get("documents", [None] * n),
        value.get("rating", [None] * n),
        value.get("latency_ms", [0.0] * n),
        value.get("at", range(n)),
        strict=True,
    )
    return [
        Impression(
            "", "", user, release, "", variant, _hits(clicked, documents), tuple(clicked), rating,
            latency_ms, float(at),
        )
        for user, variant, release, clicked, documents, rating, latency_ms, at in rows
    ]  # fmt: skip


def clicked_documents(impression: Impression) -> list[str | None]:
    """The document of each click; ``None`` where none stood at that position."""
    hits = impression.hits
    return [
        hits[click - 1] or None if 1 <= click <= len(hits) else None for click in impression.clicks
    ]


def distinct(values: Sequence[str]) -> Json:
    """``values`` (texts) as indices ``at`` into their distinct ``values``, secrets masked."""
    numbers: dict[str, int] = {}
    at = [numbers.setdefault(value, len(numbers)) for value in values]
    return {"values": [redact(value) for value in numbers], "at": at}


def _hits(clicks: Sequence[int], documents: Sequence[int | None] | None) -> tuple[str, ...]:
    """Results in which each click meets its document; what was not clicked is empty."""
    if not documents:
        return ()
    known = {
        click: f"d{one}" for click, one in zip(clicks, documents, strict=True) if one is not None
    }
    return tuple(known.get(place, "") for place in range(1, max(known, default=0) + 1))


def _clicked(impressions: Sequence[Impression]) -> list[list[int | None]]:
    numbers: dict[str, int] = {}
    return [
        [None if one is None else numbers.setdefault(one, len(numbers)) for one in found]
        for found in map(clicked_documents, impressions)
    ]


def since_first(impressions: Sequence[Impression]) -> list[float]:
    """When each search came, in seconds from the first of them, to the millisecond."""
    first = min((i.at for i in impressions), default=0.0)
    return [round(i.at - first, 3) for i in impressions]


def _spelt(column: Json) -> list[str]:
    return [column["values"][number] for number in column["at"]]


def _numbered(impressions: Sequence[Impression]) -> list[int]:
    numbers: dict[str, int] = {}
    return [numbers.setdefault(i.user, len(numbers)) for i in impressions]


def _latency(impressions: Sequence[Impression]) -> list[float]:
    column = [float(i.latency_ms) for i in impressions]
    for place, value in enumerate(column):
        if not math.isfinite(value):
            raise InputError(f"search {place} has a latency of {value} ms: it was not measured")
    return column


_WRITE: dict[str, Callable[[Sequence[Impression]], Any]] = {
    "user": _numbered,
    "variant": lambda impressions: distinct([i.variant for i in impressions]),
    "release": lambda impressions: distinct([i.release for i in impressions]),
    "clicks": lambda impressions: [[int(click) for click in i.clicks] for i in impressions],
    "rating": lambda impressions: [
        None if i.rating is None else int(i.rating) for i in impressions
    ],
    "documents": _clicked,
    "latency_ms": _latency,
    "at": since_first,
}

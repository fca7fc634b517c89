"""Searches as columns of JSON: only what a decider reads, and no user's name or words."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal

from predator.domain.errors import InputError
from predator.journal.redact import redact
from predator.ports.feedback import Impression
from predator.ports.runtime import Json

Column = Literal["user", "variant", "release", "clicks", "rating", "latency_ms"]


def columns(impressions: Sequence[Impression], *names: Column) -> Json:
    """The named columns of ``impressions``, in their order.

    Users are numbered as they first come: deciders ask who is who, never who it is. Arms and
    releases are indices into their distinct ``values``. ``InputError`` for a latency that is
    not finite.
    """
    return {"n": len(impressions), **{name: _WRITE[name](impressions) for name in names}}


def searches(value: Json) -> list[Impression]:
    """Impressions with the columns of ``value``, empty in all else."""
    n = int(value["n"])
    users = [f"u{number}" for number in value.get("user", [0] * n)]
    variants = _spelt(value["variant"]) if "variant" in value else [""] * n
    releases = _spelt(value["release"]) if "release" in value else [""] * n
    rows = zip(
        users,
        variants,
        releases,
        value.get("clicks", [()] * n),
        value.get("rating", [None] * n),
        value.get("latency_ms", [0.0] * n),
        range(n),
        strict=True,
    )
    return [
        Impression(
            "", "", user, release, "", variant, (), tuple(clicks), rating, latency_ms, float(at)
        )
        for user, variant, release, clicks, rating, latency_ms, at in rows
    ]


def distinct(values: Sequence[str]) -> Json:
    """``values`` (texts) as indices ``at`` into their distinct ``values``, secrets masked."""
    numbers: dict[str, int] = {}
    at = [numbers.setdefault(value, len(numbers)) for value in values]
    return {"values": [redact(value) for value in numbers], "at": at}


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
    "latency_ms": _latency,
}

"""Lists, a page at a time."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from predator.domain.errors import InputError

T = TypeVar("T")
MOST = 200

Limit = Annotated[int, Query(ge=1, le=MOST, description="how many items at most")]
Cursor = Annotated[
    str | None,
    Query(max_length=1000, description="`next` of the page before; it means nothing else"),
]


class Page(BaseModel, Generic[T]):
    """``next`` is the cursor of the page that follows, or null on the last one."""

    items: Sequence[T]
    next: str | None


def page(
    items: Iterable[T],
    place: Callable[[T], tuple[Any, ...]],
    limit: int,
    cursor: str | None,
    *,
    newest_first: bool = True,
) -> Page[T]:
    """The items after ``cursor``, in the order of ``place``, which tells any two apart.

    New items never move others to another page. ``InputError`` for a cursor of another list.
    """
    ordered = sorted(items, key=place, reverse=newest_first)
    if cursor is not None:
        after = _read(cursor)
        try:
            ordered = [
                item
                for item in ordered
                if (place(item) < after if newest_first else place(item) > after)
            ]
        except TypeError as error:
            raise _foreign() from error
    shown = ordered[:limit]
    more = len(ordered) > limit
    return Page(items=shown, next=_write(place(shown[-1])) if more else None)


def _foreign() -> InputError:
    return InputError("cursor is not one of this list", cure="Use `next` of the page before")


def _write(place: tuple[Any, ...]) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _read(cursor: str) -> tuple[Any, ...]:
    try:
        value = json.loads(
            base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4))
        )
    except (ValueError, RecursionError) as error:
        raise _foreign() from error
    if not isinstance(value, list):
        raise _foreign()
    return tuple(value)

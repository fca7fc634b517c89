"""Files of a job that hold a JSON value a line, and numbers in them that name a text."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def lines(values: Iterable[Any]) -> bytes:
    """``values``, one a line."""
    # A line break inside a text is escaped, so that lines are values.
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def known_text(number: Any, texts: range) -> int:
    """``number`` itself; ``ValueError`` where it names none of ``texts``."""
    if type(number) is not int or number not in texts:
        raise ValueError(f"there is no text {number!r:.40}")
    return number

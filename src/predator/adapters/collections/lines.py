"""Lines of a file that may be hostile: each complaint names its file and line, in one safe line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from predator.domain.errors import InputError

LINE_BYTES = 32 * 2**20
"""The longest line that is read, so that a file without line breaks cannot eat the memory."""

_ID_LENGTH = 1000
_FORBIDDEN_IN_ID = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, line separators and bidirectional overrides."""


def shown(text: str, limit: int = 32) -> str:
    """``text`` quoted for a message: cut to ``limit`` characters, unprintable ones escaped."""
    part = text[:limit]
    if not part.isprintable():  # an escape takes up to ten characters
        part = part[: limit // 4]
    return f"{part!r}…" if len(part) < len(text) else repr(part)


def shown_path(path: Path, limit: int = 80) -> str:
    """``path`` for a message: its end if it is long, escaped if it holds unprintable characters."""
    text = str(path)
    if not text.isprintable():
        text = repr(text)[1:-1]
    return text if len(text) <= limit else f"…{text[-limit:]}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank, without its line break."""

    path: Path
    number: int
    text: str

    def error(self, cause: str, cure: str) -> InputError:
        return InputError(f"{shown_path(self.path)}:{self.number}: {cause}", cure=cure)


def read_lines(path: Path) -> Iterator[Line]:
    """The lines of ``path`` that are not blank, as text; a UTF-8 byte order mark is dropped.

    Raises ``InputError`` where the file cannot be read, is not UTF-8, or holds no such line.
    """
    empty = True
    try:
        with path.open("rb") as file:
            number = 0
            while data := file.readline(LINE_BYTES + 1):
                number += 1
                if number == 1:
                    data = data.removeprefix(b"\xef\xbb\xbf")
                line = _decoded(path, number, data)
                if line.text:
                    empty = False
                    yield line
    except OSError as error:
        raise InputError(
            f"{shown_path(path)} cannot be read ({error.strerror or 'input/output error'})",
            cure="Check that the file is there and that you may read it",
        ) from None
    if empty:
        raise InputError(
            f"{shown_path(path)}:1: the file is empty", cure="Fill it, or name another folder"
        )


def _decoded(path: Path, number: int, data: bytes) -> Line:
    if len(data) > LINE_BYTES:
        raise Line(path, number, "").error(
            f"the line is longer than {LINE_BYTES // 2**20} MiB",
            "Write one record a line, and split long documents",
        )
    try:
        return Line(path, number, data.decode("utf-8").strip(" \t\r\n") if data.strip() else "")
    except UnicodeDecodeError as error:
        raise Line(path, number, "").error(
            f"byte {error.start + 1} (0x{data[error.start]:02x}) is not UTF-8",
            "Save the file as UTF-8",
        ) from None


def read_object(line: Line) -> dict[str, Any]:
    """The JSON object on ``line``; ``InputError`` where there is anything else."""
    try:
        value = json.loads(line.text)
    except json.JSONDecodeError as error:
        raise line.error(
            f"not JSON ({error.msg} at column {error.colno})", "Write one JSON object a line"
        ) from None
    except (ValueError, RecursionError):  # an integer of thousands of digits, absurd nesting
        raise line.error("not usable JSON", "Write one JSON object a line") from None
    if not isinstance(value, dict):
        raise line.error("not a JSON object", 'Write {"_id": …, "text": …} on each line')
    return value


def read_id(line: Line, value: object) -> str:
    """``value`` as an id: text, or an integer made text; ``InputError`` where it is unusable."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise line.error('"_id" is missing or not text', 'Give each line a unique text "_id"')
    if len(value) > _ID_LENGTH:
        raise line.error(f'"_id" is longer than {_ID_LENGTH} characters', "Shorten it")
    if value != value.strip():
        raise line.error(f'"_id" {shown(value)} begins or ends with white space', "Remove it")
    if _FORBIDDEN_IN_ID.search(value):
        raise line.error(f'"_id" {shown(value)} holds control characters', "Remove them")
    return _unicode(line, "_id", value)


def read_text(line: Line, record: dict[str, Any], field: str, *, optional: bool = False) -> str:
    """The text of ``field``, empty where it is ``optional`` and missing or null."""
    value = record.get(field)
    if value is None and optional:
        return ""
    if not isinstance(value, str):
        problem = "missing" if value is None else "not text"
        raise line.error(f'"{field}" is {problem}', f'Give the line a "{field}" that is a string')
    return _unicode(line, field, value)


def _unicode(line: Line, field: str, value: str) -> str:
    """``value``, unless it holds half of a surrogate pair, which no UTF-8 can carry."""
    if "\\u" in line.text:  # only a JSON escape can bring one
        try:
            value.encode()
        except UnicodeEncodeError:
            raise line.error(
                f'"{field}" holds half of a surrogate pair', "Write the whole character"
            ) from None
    return value

"""Files that a cycle left, read so that no name can lead out of the cycle's folder."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from predator.domain.canonical import canonical_json
from predator.domain.errors import InputError
from predator.domain.ids import is_cycle_id
from predator.loop.operator.desk import NotFoundError

MOST_BYTES = 64 * 1024 * 1024
MOST_FILES = 2_000
_DEEPEST = 12


def folder_of(artifacts: Path, cycle_id: str) -> Path:
    """The folder of a cycle; ``NotFoundError`` for what is no cycle id (safe as a file name)."""
    if not is_cycle_id(cycle_id):
        raise NotFoundError(
            f"{cycle_id!r:.60} is not a cycle id", cure="It looks like si_2025_12_07_001"
        )
    return artifacts / cycle_id


def cycle_ids(artifacts: Path) -> list[str]:
    """Cycles that left a folder, newest first."""
    if not artifacts.is_dir():
        return []
    found = (path.name for path in artifacts.iterdir() if is_cycle_id(path.name) and path.is_dir())
    return sorted(found, key=order, reverse=True)


def order(cycle_id: str) -> tuple[str, int]:
    """Ids in the order of their making (``…_1000`` follows ``…_999``)."""
    day, _, number = cycle_id.rpartition("_")
    return day, int(number)


def file_names(artifacts: Path, cycle_id: str) -> list[str]:
    """Plain files below the cycle's folder, relative to it; links are not followed or listed."""
    root = folder_of(artifacts, cycle_id)
    found: list[str] = []
    for place, _, names in os.walk(root, followlinks=False):
        for name in names:
            path = Path(place) / name
            if stat.S_ISREG(path.lstat().st_mode):
                found.append(str(path.relative_to(root)))
            if len(found) >= MOST_FILES:
                return sorted(found)
    return sorted(found)


def read_file(artifacts: Path, cycle_id: str, name: str, *, most: int = MOST_BYTES) -> bytes:
    """The bytes of one plain file below the cycle's folder.

    ``NotFoundError`` for whatever is not such a file: a name that climbs, a link anywhere on the
    way, a folder, a pipe; ``InputError`` where it is larger than ``most`` bytes.
    """
    root = folder_of(artifacts, cycle_id)
    missing = NotFoundError(f"cycle {cycle_id} has no artifact {name!r:.80}")
    parts = name.split("/")
    bad = (part in {"", ".", ".."} or "\0" in part or "\\" in part for part in parts)
    if len(parts) > _DEEPEST or any(bad):
        raise missing
    try:
        with closing(_Opened(root)) as here:
            for part in parts[:-1]:
                here.descend(part)
            return here.read(parts[-1], most)
    except (OSError, UnicodeEncodeError) as error:
        raise missing from error


class _Opened:
    """An open folder: each name is looked up in it, never in a path that may change meanwhile."""

    _FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, self._FOLDER)

    def descend(self, name: str) -> None:
        below = os.open(name, self._FOLDER, dir_fd=self._fd)
        os.close(self._fd)
        self._fd = below

    def read(self, name: str, most: int) -> bytes:
        # Without O_NONBLOCK a pipe would be waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, dir_fd=self._fd), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise FileNotFoundError(name)
            data = file.read(most + 1)
        if len(data) > most:
            raise InputError(
                f"{name!r:.80} is larger than {most} bytes", cure="Read it on the host"
            )
        return data

    def close(self) -> None:
        os.close(self._fd)


def json_file(artifacts: Path, cycle_id: str, name: str) -> Mapping[str, Any]:
    """A JSON object that a cycle left; empty where it left none that can be read."""
    try:
        return _object(read_file(artifacts, cycle_id, name))
    except InputError:
        return {}


def audit_records(artifacts: Path, cycle_id: str) -> Iterator[Mapping[str, Any]]:
    """The records of a cycle's journal, as far as they are JSON objects."""
    try:
        lines = read_file(artifacts, cycle_id, "audit.jsonl").splitlines()
    except InputError:
        return
    for line in lines:
        if record := _object(line):
            yield record


def contour_in_audit(artifacts: Path, cycle_id: str) -> str:
    """The contour a cycle's journal names; empty where it names none."""
    found = ""
    for record in audit_records(artifacts, cycle_id):
        summary = record.get("summary")
        value = summary.get("environment") if isinstance(summary, dict) else record.get("contour")
        found = value if isinstance(value, str) else found
    return found


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
        canonical_json(value)  # infinities and broken Unicode would stop whoever writes it on
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}

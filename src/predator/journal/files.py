"""Files beside a journal: written whole or not at all, and bound to a record by their hash."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from predator.domain.canonical import sha256_hex
from predator.domain.errors import InputError, IntegrityError
from predator.locks import sync_folder


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` durably: a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def outputs(folder: Path, names: Iterable[str]) -> list[dict[str, str]]:
    """``{"file", "sha256"}`` of each file of ``folder``: what an action's record lists.

    ``InputError`` for a name that is not a regular file below ``folder``.
    """
    try:
        return [{"file": name, "sha256": sha256_hex(read_file(folder, name))} for name in names]
    except IntegrityError as error:
        raise InputError(error.cause) from error


def read_file(folder: Path, name: str, sha256: str | None = None) -> bytes:
    """The bytes of ``folder/name``, proven to have ``sha256`` where it is given.

    ``IntegrityError`` where they have not, where it is no regular file (a link is none), or where
    the name would leave the folder.
    """
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or PurePosixPath(name).is_absolute() or "\0" in name:
        raise IntegrityError(f"{name[:120]!r} is no name of a file in {folder}")
    try:
        # Without O_NONBLOCK a pipe would be waited for.
        fd = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise IntegrityError(f"{name[:120]} is not a file")
        with os.fdopen(fd, "rb") as file:
            data = file.read()
    except FileNotFoundError as error:
        raise IntegrityError(f"{name[:120]} is gone") from error
    except OSError as error:
        raise IntegrityError(f"{name[:120]} cannot be read: {error.strerror}") from error
    if sha256 is not None and sha256_hex(data) != sha256:
        raise IntegrityError(f"{name[:120]} is not what its record says: its hash differs")
    return data


def promised(records: Iterable[Mapping[str, object]]) -> dict[str, tuple[str, int]]:
    """File → its hash by the newest record that names it, and that record's number.

    Records of decisions name one ``file``; actions list ``outputs`` (as :func:`outputs` makes
    them) or map names to hashes under ``files``.
    """
    found: dict[str, tuple[str, int]] = {}
    for number, record in enumerate(records, start=1):
        action = record.get("action")
        for name, digest in _named(record):
            found[name] = (digest, number)
        if isinstance(action, Mapping):
            for name, digest in _named(action):
                found[name] = (digest, number)
    return found


def _named(record: Mapping[str, object]) -> Iterable[tuple[str, str]]:
    if isinstance(record.get("file"), str):
        yield str(record["file"]), str(record.get("sha256"))
    listed = record.get("outputs")
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, Mapping) and "file" in one:
            yield str(one["file"]), str(one.get("sha256"))
    mapped = record.get("files")
    for name, digest in mapped.items() if isinstance(mapped, Mapping) else ():
        yield str(name), str(digest)

"""A disk that fails: the n-th write, sync, rename, or making of a file or folder of a contour.

Files are written through raw files that can fail, so that buffers, flushes and closes behave as
they do on a full disk. SQLite writes by itself and is left alone: see the tests with real limits.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

KINDS = ("ENOSPC", "EIO", "short")
HARNESS = frozenset({"struck", "frozen", "moments", "ledger.jsonl", "operations"})
_WRITES = os.O_WRONLY | os.O_RDWR


class Faults:
    """While it is open, operation ``n`` below ``folder`` (and below ``under`` in it) fails once,
    or with ``lasting`` that one and all after it. ``short`` writes half, then finds no room.

    The operations are counted and named in the file ``operations``, for who wants to choose one.
    """

    def __init__(self, folder: Path, fault: dict[str, Any] | None) -> None:
        given = fault or {}
        self._folder = folder
        self._under = str(folder / given.get("under", ""))
        self._n = int(given.get("n", 0))
        self._kind = str(given.get("kind", "EIO"))
        self._lasting = bool(given.get("lasting", False))
        self._on = fault is not None
        self._count = 0
        self._lock = threading.Lock()
        self._undo: list[tuple[Any, str, Any]] = []
        self._log: int | None = None

    def __enter__(self) -> Self:
        if self._on:
            log = self._folder / "operations"
            self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            self._open, self._write = io.open, os.write
            self._patch(os, "write", self._os_write)
            self._patch(os, "fsync", self._of_fd(os.fsync, "fsync"))
            self._patch(os, "replace", self._of_paths(os.replace, "replace"))
            self._patch(os, "rename", self._of_paths(os.rename, "rename"))
            self._patch(os, "mkdir", self._of_paths(os.mkdir, "mkdir"))
            self._patch(os, "open", self._os_open(os.open))
            self._patch(io, "open", self._io_open)
            self._patch(builtins, "open", self._io_open)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for owner, name, before in reversed(self._undo):
            setattr(owner, name, before)

    def _patch(self, owner: Any, name: str, patched: Any) -> None:
        self._undo.append((owner, name, getattr(owner, name)))
        setattr(owner, name, patched)

    def fails(self, what: str, path: str) -> bool:
        """Count an operation; whether it is to fail."""
        inside = path.startswith(self._under) and Path(path).name not in HARNESS
        if not inside:
            return False
        with self._lock:
            self._count += 1
            if self._log is not None:
                self._write(self._log, f"{what} {path}\n".encode())
            return self._count == self._n or (self._lasting and self._count > self._n > 0)

    def error(self) -> OSError:
        number = getattr(errno, "ENOSPC" if self._kind == "short" else self._kind)
        return OSError(number, os.strerror(number))

    def cut(self, size: int) -> int:
        """How much of a failing write is written all the same."""
        return size // 2 if self._kind == "short" else 0

    def _os_write(self, fd: int, data: Any) -> int:
        if not self.fails("write", _path(fd)):
            return int(self._write(fd, data))
        if (cut := self.cut(len(data))) > 0:
            self._write(fd, bytes(data)[:cut])
        raise self.error()

    def _of_fd(self, call: Callable[..., Any], what: str) -> Callable[..., Any]:
        def patched(fd: int) -> Any:
            if self.fails(what, _path(fd)):
                raise self.error()
            return call(fd)

        return patched

    def _of_paths(self, call: Callable[..., Any], what: str) -> Callable[..., Any]:
        def patched(*given: Any, **named: Any) -> Any:
            path = _absolute(given[0] if what == "mkdir" else given[1])
            needed = what != "mkdir" or not Path(path).exists()
            if needed and self.fails(what, path):
                raise self.error()
            return call(*given, **named)

        return patched

    def _os_open(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def patched(path: Any, flags: int, *given: Any, **named: Any) -> Any:
            creates = flags & os.O_CREAT and flags & _WRITES and "dir_fd" not in named
            if creates and not Path(path).exists() and self.fails("create", _absolute(path)):
                raise self.error()
            return call(path, flags, *given, **named)

        return patched

    def _io_open(
        self,
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *given: Any,
        **named: Any,
    ) -> Any:
        path = _path(file) if isinstance(file, int) else _absolute(file)
        plain = mode.replace("t", "").replace("b", "")
        ours = plain in ("w", "a", "x") and buffering == -1 and path.startswith(self._under)
        if not ours or given or named:
            text = encoding, errors, newline
            return self._open(file, mode, buffering, *text, *given, **named)
        if not isinstance(file, int) and not Path(path).exists() and self.fails("create", path):
            raise self.error()
        buffered = io.BufferedWriter(_Raw(file, plain, self, path))
        if "b" in mode:
            return buffered
        return io.TextIOWrapper(buffered, encoding, errors, newline)


class _Raw(io.FileIO):
    """A file whose writes may fail."""

    def __init__(self, file: Any, mode: str, faults: Faults, path: str) -> None:
        super().__init__(file, mode)
        self._faults, self._name = faults, path

    def write(self, data: Any, /) -> int:
        if self._faults.fails("write", self._name):
            cut = self._faults.cut(len(data))
            if cut:
                super().write(bytes(data)[:cut])
            raise self._faults.error()
        return super().write(data)


def _path(fd: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    return ""


def _absolute(path: Any) -> str:
    try:
        return str(os.path.abspath(os.fspath(path)))  # noqa: PTH100 - a link is not followed
    except TypeError:
        return ""

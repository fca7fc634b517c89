"""A gate on one machine: a lock file that many share, and that whoever drains takes alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from predator.domain.errors import PredatorError
from predator.locks import file_lock


class FileFence:
    """Holds between threads and processes; the kernel lets go for those that die."""

    def __init__(self, path: Path, *, wait_s: float = 10.0) -> None:
        self._path, self._wait_s = path, wait_s

    @contextmanager
    def passing(self) -> Iterator[None]:
        with self._held(self._wait_s, shared=True):
            yield

    def drained(self, timeout_s: float) -> bool:
        try:
            with self._held(timeout_s, shared=False):
                return True
        except PredatorError:
            return False

    @contextmanager
    def _held(self, timeout_s: float, *, shared: bool) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(self._path, flags, 0o600)
        try:
            with file_lock(fd, f"the gate {self._path}", timeout_s=timeout_s, shared=shared):
                yield
        finally:
            os.close(fd)

"""Advisory file locks that are waited for, but never for ever."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from predator.domain.errors import PredatorError

_POLL_S = 0.002


@contextmanager
def file_lock(
    fd: int, what: str, *, timeout_s: float = 10.0, shared: bool = False
) -> Iterator[None]:
    """Hold a ``flock`` on the open file ``fd``; the kernel drops it when its holder dies.

    Excludes threads too, as long as each opens the file itself. Raises ``PredatorError`` naming
    ``what`` after ``timeout_s``: a holder that was stopped, not killed, must not stop everyone.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise PredatorError(
                    f"{what} has been locked by another process for {timeout_s:g} s",
                    cure="End the stopped process, then run again",
                ) from None
            time.sleep(_POLL_S)
    try:
        yield
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Make the names in a folder durable (a rename is not, until its folder is synced)."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

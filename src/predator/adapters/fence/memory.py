"""A gate between the threads of one process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class MemoryFence:
    """Counts who is passing."""

    def __init__(self) -> None:
        self._passing = 0
        self._changed = threading.Condition()

    @contextmanager
    def passing(self) -> Iterator[None]:
        with self._changed:
            self._passing += 1
        try:
            yield
        finally:
            with self._changed:
                self._passing -= 1
                self._changed.notify_all()

    def drained(self, timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        with self._changed:
            return self._changed.wait_for(
                lambda: self._passing == 0, max(0.0, deadline - time.monotonic())
            )

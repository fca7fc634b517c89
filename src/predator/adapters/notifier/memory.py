"""Notices in memory, proven equal to the outbox by the same tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import RLock

from predator.adapters.notifier.delivery import (
    AT_ONCE,
    LONGEST_PAUSE_S,
    RetryLater,
    Send,
    holds,
    masked,
)
from predator.domain.governance import Notice


def discard(_notice: Notice) -> None:
    """Take a notice and do nothing with it."""


class MemoryNotifier:
    """For tests and simulations; ``send`` takes the notices, and may fail."""

    def __init__(self, send: Send = discard, *, now: Callable[[], float] = time.time) -> None:
        self._send = send
        self._now = now
        self._lock = RLock()
        self._kept: dict[str, Notice] = {}
        self._waiting: dict[str, int] = {}
        self._not_before: float | None = None

    def notify(self, notice: Notice) -> bool:
        kept = masked(notice)
        with self._lock:
            new = kept.key not in self._kept
            if new:
                self._kept[kept.key] = kept
                self._waiting[kept.key] = 0
            self.deliver()
            return new

    def deliver(self) -> None:
        with self._lock:
            for _ in range(AT_ONCE):
                paused = holds(self._not_before, self._now(), LONGEST_PAUSE_S)
                if paused or not self._waiting:
                    return
                key = min(self._waiting, key=lambda each: self._waiting[each])
                self._waiting[key] += 1
                try:
                    self._send(self._kept[key])
                except RetryLater as error:
                    self._not_before = self._now() + error.wait_s
                    return
                except Exception:  # whatever a receiver does, the loop goes on
                    return
                del self._waiting[key]

    def sent(self, limit: int = 100) -> Sequence[Notice]:
        with self._lock:
            taken = [notice for key, notice in self._kept.items() if key not in self._waiting]
        return taken[::-1][: max(0, limit)]

    def pending(self, limit: int = 100) -> Sequence[Notice]:
        with self._lock:
            return [self._kept[key] for key in self._waiting][: max(0, limit)]

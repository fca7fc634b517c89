"""A virtual clock on which flows wait: hours pass as fast as the machine can think."""

from __future__ import annotations

import heapq
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

Flow = Generator[float, None, T]
"""Code that reads from top to bottom; each ``yield`` is a wait, in seconds."""


class Timeline:
    """Runs flows in the order of their moments, and of their start where those are equal."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._waiting: list[tuple[float, int, Flow[None]]] = []
        self._count = 0

    def now(self) -> float:
        """Unix seconds."""
        return self._now

    def sleep(self, duration_s: float) -> None:
        """Nobody else moves meanwhile; a flow waits by ``yield`` instead."""
        self._now += duration_s

    def spawn(self, flow: Flow[None], after_s: float = 0.0) -> None:
        """Let ``flow`` begin in ``after_s`` seconds."""
        self._put(self._now + after_s, flow)

    def run(self, until: float) -> None:
        """Let every flow go on whose moment is before ``until``, which is the time afterwards."""
        while self._waiting and self._waiting[0][0] < until:
            at, _, flow = heapq.heappop(self._waiting)
            self._now = max(self._now, at)
            wait_s = next(flow, None)
            if wait_s is not None:
                self._put(self._now + wait_s, flow)
        self._now = max(self._now, until)

    def _put(self, at: float, flow: Flow[None]) -> None:
        self._count += 1
        heapq.heappush(self._waiting, (at, self._count, flow))

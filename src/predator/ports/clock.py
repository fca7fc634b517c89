"""Time as an argument."""

from __future__ import annotations

from typing import Protocol


class Clock(Protocol):
    """Wall time in unix seconds, and waiting."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...

"""The clock on the wall."""

from __future__ import annotations

import time


class SystemClock:
    """The machine's own time (unix seconds, UTC)."""

    def now(self) -> float:
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait; a wait that is already over returns at once."""
        time.sleep(max(0.0, seconds))

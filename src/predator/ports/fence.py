"""Lets the kill switch wait for effects that were allowed just before it was engaged."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Fence(Protocol):
    """Many effects pass at once; whoever closes the gate waits until they are through."""

    def passing(self) -> AbstractContextManager[None]:
        """Held from the question to policy until the effect is done; keep it short."""
        ...

    def drained(self, timeout_s: float) -> bool:
        """Wait until nobody passes who came before; ``False`` at the timeout."""
        ...

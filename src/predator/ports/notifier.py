"""Tells people what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from predator.domain.governance import Notice


class Notifier(Protocol):
    """Sends a notice once by its key."""

    def notify(self, notice: Notice) -> bool:
        """Send; ``False`` where this key was sent already.

        Delivery that fails is kept and tried again with the next notice; it never raises for a
        receiver that is down: news must not stop the loop.
        """
        ...

    def sent(self, limit: int = 100) -> Sequence[Notice]:
        """Notices that their receiver took, or that had none, newest first."""
        ...

    def pending(self, limit: int = 100) -> Sequence[Notice]:
        """Notices that their receiver did not take yet, oldest first."""
        ...

"""Places for open experiments: first come, first served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Slots(Protocol):
    """Who may have an experiment open on a target (``contour/layer``)."""

    def claim(self, target: str, cycle_id: str, most: int) -> bool:
        """Take a place, or stand in the queue; whether the cycle holds a place now.

        Atomic; a cycle that holds a place keeps it, and one in the queue keeps its turn.
        """
        ...

    def release(self, target: str, cycle_id: str) -> None:
        """Give the place or the turn back; the next in the queue may claim it."""
        ...

    def holders(self, target: str) -> Sequence[str]:
        """Cycles that hold a place, then those in the queue, in order of arrival."""
        ...

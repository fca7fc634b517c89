"""The register of cycles: who asked for each, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from predator.domain.governance import CycleEntry


class Cycles(Protocol):
    """One entry a cycle, made when its signal fires."""

    def open(self, request_key: str, contour: str, trigger: dict[str, Any], at: float) -> str:
        """Register a cycle and give it the first free id of the day of ``at`` (UTC).

        Idempotent by ``request_key``: the same signal twice is one cycle.
        """
        ...

    def get(self, cycle_id: str) -> CycleEntry | None: ...

    def mark(self, cycle_id: str, moment: str, at: float) -> None:
        """Note when the cycle first came to ``moment``; a later call changes nothing.

        Moments: ``started``, ``first_action``, ``offline_verdict``, ``experiment_started``,
        ``experiment_ended``, ``ended``. ``InputError`` for another one or an unknown cycle.
        """
        ...

    def finish(self, cycle_id: str, outcome: str, at: float) -> None:
        """Close the entry; the first outcome stays."""
        ...

    def cancel(self, cycle_id: str, *, actor: str, reason: str, at: float) -> bool:
        """Ask the cycle to stop; ``False`` where it has ended or was asked already."""
        ...

    def list(
        self, contour: str | None = None, *, limit: int = 100, before: str | None = None
    ) -> Sequence[CycleEntry]:
        """Entries, newest id first, those after ``before`` in that order."""
        ...

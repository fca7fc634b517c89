"""Run-time flags: the ``feature_flags`` table (spec 6A.12)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from predator.domain.governance import Flag


class Flags(Protocol):
    """Flags as rows; which row of a name counts where, ``policy.flags`` says."""

    def rows(self) -> Sequence[Flag]:
        """Every row, by name and environment. ``PredatorError`` where they cannot be read."""
        ...

    def put(self, flag: Flag, *, actor: str, reason: str, at: float) -> None:
        """Set the row of ``flag.name`` and ``flag.environment``; who and why is kept with it."""
        ...

    def remove(self, name: str, environment: str, *, actor: str, reason: str, at: float) -> bool:
        """Take a row away; whether there was one."""
        ...

"""Exceptions that a person grants: to a gate, or to what policy says of an action."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from predator.domain.governance import Override


class Overrides(Protocol):
    """Granted overrides; all of them are kept, whatever became of them."""

    def add(self, override: Override) -> Override:
        """Keep an override; the same id again changes nothing."""
        ...

    def confirm(self, override_id: str, *, actor: str, at: float) -> Override:
        """The second person's word.

        ``InputError`` for an unknown id, ``ConflictError`` where the actor is the one who
        granted it, somebody else confirmed it, or it has expired.
        """
        ...

    def revoke(self, override_id: str, *, actor: str, at: float) -> Override:
        """End an override now; one that was revoked before stays as it is."""
        ...

    def list(self, contour: str | None = None) -> Sequence[Override]:
        """Overrides, newest first."""
        ...

"""A person's word on an effect that policy will not allow by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from predator.domain.governance import Approval


class Approvals(Protocol):
    """Requests for approval and the answers to them."""

    def request(self, approval: Approval) -> Approval:
        """Keep a pending request; where its id is known, the request as it stands now."""
        ...

    def get(self, approval_id: str) -> Approval | None: ...

    def list(self, contour: str | None = None, *, pending: bool = False) -> Sequence[Approval]:
        """Requests, newest first."""
        ...

    def decide(
        self, approval_id: str, *, approved: bool, actor: str, reason: str, at: float
    ) -> Approval:
        """Answer a pending request, once.

        The same answer by the same actor again changes nothing; ``ConflictError`` for another
        answer and after the expiry, ``InputError`` for an unknown id.
        """
        ...

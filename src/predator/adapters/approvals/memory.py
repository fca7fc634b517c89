"""Approvals in memory, proven equal to the table by the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from predator.adapters.approvals.rules import checked, decided
from predator.domain.governance import Approval


class MemoryApprovals:
    """For tests and simulations."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: dict[str, Approval] = {}

    def request(self, approval: Approval) -> Approval:
        with self._lock:
            return self._requests.setdefault(approval.id, checked(approval))

    def get(self, approval_id: str) -> Approval | None:
        with self._lock:
            return self._requests.get(approval_id)

    def list(self, contour: str | None = None, *, pending: bool = False) -> Sequence[Approval]:
        with self._lock:
            latest_first = list(reversed(self._requests.values()))
        found = [
            each
            for each in latest_first
            if contour in (None, each.contour) and (not pending or each.state == "pending")
        ]
        return sorted(found, key=lambda each: each.requested_at, reverse=True)

    def decide(
        self, approval_id: str, *, approved: bool, actor: str, reason: str, at: float
    ) -> Approval:
        with self._lock:
            found = self._requests.get(approval_id)
            answered = decided(found, approval_id, approved, actor, reason, at)
            self._requests[approval_id] = answered
            return answered

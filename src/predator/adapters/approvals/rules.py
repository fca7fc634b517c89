"""What becomes of a request for approval; pure, shared by every back end."""

from __future__ import annotations

from dataclasses import replace

from predator.adapters.database.values import moment, named, texts
from predator.domain.errors import ConflictError, InputError
from predator.domain.governance import Approval, ApprovalState


def checked(approval: Approval) -> Approval:
    """A request that may be kept; ``ValueError`` where it was answered beforehand."""
    texts(approval, "contour", "cycle_id", "action", "subject", "release", "rule")
    named(approval.id, "approval id")
    moment(approval.requested_at)
    moment(approval.expires_at)
    if (approval.state, approval.actor, approval.reason, approval.decided_at) != (
        "pending", "", "", None,
    ):  # fmt: skip
        raise ValueError(f"approval {approval.id} is not a pending request")
    return approval


def decided(
    found: Approval | None, approval_id: str, approved: bool, actor: str, reason: str, at: float
) -> Approval:
    """The request with its answer; the errors are those of the port."""
    named(actor, "actor")
    named(reason, "reason")
    moment(at)
    if found is None:
        raise InputError(f"there is no approval {approval_id}")
    state: ApprovalState = "approved" if approved else "rejected"
    if found.state != "pending":
        if (found.state, found.actor) == (state, actor):
            return found
        raise ConflictError(f"approval {found.id} was {found.state} by {found.actor} before")
    if at >= found.expires_at:
        raise ConflictError(f"approval {found.id} has expired", cure="The cycle has to ask again")
    return replace(found, state=state, actor=actor, reason=reason, decided_at=at)

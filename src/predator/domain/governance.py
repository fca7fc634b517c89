"""What people and policy say about the loop: flags, approvals, overrides, limits, tokens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

EVERYWHERE = "all"
"""The environment of a flag that holds on every contour."""

KILL_SWITCH = "kill_switch"


@dataclass(frozen=True, slots=True)
class Flag:
    """One row of ``feature_flags`` (spec 6A.12). ``environment`` is a contour or ``all``."""

    name: str
    enabled: bool
    environment: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


ApprovalState = Literal["pending", "approved", "rejected"]


@dataclass(frozen=True, slots=True)
class Approval:
    """A request that a person answers. ``id`` is ``<cycle id>:<step>``; times are unix seconds.

    ``subject`` says what would happen, ``release`` the digest it is about ("" where none).
    A pending request past ``expires_at`` can no longer be answered.
    """

    id: str
    contour: str
    cycle_id: str
    action: str
    subject: str
    release: str
    rule: str
    requested_at: float
    expires_at: float
    state: ApprovalState = "pending"
    actor: str = ""
    reason: str = ""
    decided_at: float | None = None


@dataclass(frozen=True, slots=True)
class Override:
    """An exception with a name on it. ``kind`` ``gate``: the floor of gate ``target`` becomes
    ``threshold``. ``kind`` ``policy``: action ``target`` is allowed although policy says
    ``DENY`` or ``NEEDS_APPROVAL``. Where ``needs_second``, it counts from the moment another
    person has confirmed it.
    """

    id: str
    contour: str
    kind: Literal["gate", "policy"]
    target: str
    threshold: float | None
    actor: str
    reason: str
    created_at: float
    expires_at: float
    needs_second: bool = False
    second: str = ""
    confirmed_at: float | None = None
    revoked_at: float | None = None
    revoked_by: str = ""

    def active(self, at: float) -> bool:
        """Whether it counts at ``at``."""
        confirmed = not self.needs_second or self.confirmed_at is not None
        return confirmed and self.revoked_at is None and self.created_at <= at < self.expires_at


@dataclass(frozen=True, slots=True)
class Spend:
    """Money of one month on one contour, in USD."""

    charged_usd: float
    reserved_usd: float


@dataclass(frozen=True, slots=True)
class CycleEntry:
    """A cycle in the register. ``moments`` maps a moment's name to unix seconds."""

    cycle_id: str
    contour: str
    trigger: Mapping[str, Any]
    requested_at: float
    moments: Mapping[str, float] = field(default_factory=dict)
    outcome: str = ""
    cancelled_by: str = ""
    cancel_reason: str = ""


class Role(StrEnum):
    """What a token may do; see ``policy/api.py`` for the table."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    APPROVER = "approver"
    ADMIN = "admin"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token without its text. ``contours`` empty: every contour."""

    id: str
    actor: str
    role: Role
    contours: frozenset[str]
    created_at: float
    expires_at: float
    revoked_at: float | None = None

    def usable(self, at: float) -> bool:
        """Whether it opens anything at ``at``."""
        return self.revoked_at is None and at < self.expires_at


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP reply that was given."""

    status: int
    body: str


@dataclass(frozen=True, slots=True)
class Notice:
    """News for people: what, why, and where to look. ``key`` makes it go out once."""

    key: str
    severity: Literal["info", "warning", "critical"]
    title: str
    text: str
    contour: str
    cycle_id: str = ""
    link: str = ""

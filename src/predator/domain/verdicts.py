"""The closed sets of answers in the ring."""

from __future__ import annotations

from enum import StrEnum


class Verdict(StrEnum):
    """What a gate says. Only PASS advances; a missing measure is never a PASS."""

    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"
    ERROR = "ERROR"


class Decision(StrEnum):
    """What the policy decision point says."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    NEEDS_APPROVAL = "NEEDS_APPROVAL"


class WatchDecision(StrEnum):
    """What a look at a fresh release says."""

    KEEP = "KEEP"
    HOLD = "HOLD"
    ROLL_BACK = "ROLL_BACK"


class Screening(StrEnum):
    """What a screen before an experiment says. It turns away; it never promotes."""

    GO = "GO"
    NO_GO = "NO_GO"
    UNDECIDED = "UNDECIDED"

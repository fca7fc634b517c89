"""What a cycle did, in the shape of the audit trail (spec 6A.12)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from predator.domain.ids import is_cycle_id

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z\Z")
_ACTION_FIELDS = ("sequence", "type", "status")


@dataclass(frozen=True, slots=True)
class CycleSummary:
    """One finished cycle.

    ``timestamp`` is when it started (UTC, ISO 8601, ``Z``). ``trigger`` holds ``type`` and what
    fired (``value``, ``baseline``). Each action holds ``sequence`` (1, 2, …), ``type``,
    ``status``, and as known ``duration_sec``, ``outputs`` and references to what it left.
    ``approver`` is ``system`` or a person. Malformed fields raise ``ValueError``.
    """

    cycle_id: str
    timestamp: str
    environment: str
    trigger: Mapping[str, Any]
    actions: Sequence[Mapping[str, Any]]
    approver: str
    total_cost_usd: float
    outcome: str
    rollback_available: bool

    def __post_init__(self) -> None:
        if not is_cycle_id(self.cycle_id):
            raise ValueError(f"{self.cycle_id!r} is not a cycle id")
        if _TIMESTAMP.match(self.timestamp) is None:
            raise ValueError(f"{self.timestamp!r} is not a UTC time like 2025-12-07T01:23:45Z")
        if not (math.isfinite(self.total_cost_usd) and self.total_cost_usd >= 0):
            raise ValueError(f"a cost of {self.total_cost_usd} USD is not a cost")
        for number, action in enumerate(self.actions, start=1):
            missing = [name for name in _ACTION_FIELDS if name not in action]
            if missing or action["sequence"] != number:
                raise ValueError(f"action {number} lacks {missing or 'its place in the sequence'}")

    def to_json(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

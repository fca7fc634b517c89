"""What a command has asked a worker for: waited for a while, and said how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable

from predator.domain.errors import PredatorError
from predator.ports.runtime import FlowStatus

WAITING = frozenset({"queued", "running"})
_LOOK_S = 0.1


def wait_for(look: Callable[[str], FlowStatus], flow_id: str, wait_s: float) -> FlowStatus:
    """Where the flow is once it has ended, or after ``wait_s`` at the latest."""
    until = time.monotonic() + wait_s
    while True:
        found = look(flow_id)
        if found.state not in WAITING or time.monotonic() >= until:
            return found
        time.sleep(_LOOK_S)


def check_ended_well(what: str, found: FlowStatus) -> None:
    """``PredatorError`` where it failed or was cancelled."""
    if found.state in {"failed", "cancelled"}:
        raise PredatorError(f"{what} {found.state}: {found.error or 'it was stopped'}")

"""How a flow that failed comes to its end: first its users, then people, then the books."""

from __future__ import annotations

from collections.abc import Callable

from predator.domain.errors import PolicyDenied
from predator.loop.record import CycleCancelled, Record
from predator.loop.rollback import PAUSES_S, withdraw

CLOSINGS = 10
"""Attempts to close a record that could not be closed: for a quarter of an hour or so."""


def fail(record: Record, error: Exception, *, approver: str = "system") -> None:
    """Take back what the cycle gave to users, tell people, close the record.

    Raises nothing: what cannot be done is noted and hides no earlier error. Where the record
    cannot be closed, the cycle gives up what others wait for, and closing is tried for a while.
    """
    outcome, cycle = outcome_of(error), record.cycle_id

    closed = _is_closed(record)

    def why() -> str:
        ended = {"type": "ended", "outcome": outcome, "reason": str(error)[:500]}
        return record.journal.append_once("why", ended)

    def close() -> None:
        if not record.run_id:
            record.begin()
        if not closed:
            record.step("why", why)
        record.close(outcome, rollback_available=False, approver=approver)

    if not closed:
        _tried(record, lambda: withdraw(record))
    if not record.run_id:
        _tried(record, record.begin)
    _tried(
        record,
        lambda: record.notify("failed", "warning", f"{cycle} did not come to its end", str(error)),
    )
    if _tried(record, close):
        return
    title = f"The record of {cycle} could not be closed"
    _tried(record, lambda: record.alarm("unclosed", title, str(error)))
    _tried(record, lambda: record.give_up(outcome))
    for pause_s in PAUSES_S[:CLOSINGS]:
        record.runtime.wait("close", pause_s)
        if _tried(record, close):
            return


def _is_closed(record: Record) -> bool:
    """Whether the cycle came to its end and only its record's last step failed: then users keep
    what the cycle decided for them."""
    try:
        return bool(record.step("closed", lambda: record.summed_up() is not None))
    except Exception:
        return False


def outcome_of(error: Exception) -> str:
    """The outcome in the audit of a cycle that ended with ``error``."""
    if isinstance(error, CycleCancelled):
        return "cancelled"
    return "denied" if isinstance(error, PolicyDenied) else "error"


def _tried(record: Record, work: Callable[[], object]) -> bool:
    try:
        work()
    except Exception as error:
        record.ring.progress.note(f"{record.cycle_id} could not be ended as it should: {error}")
        return False
    return True

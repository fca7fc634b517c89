"""Where policy wants a person: the question, and the wait for an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from predator.domain.governance import Approval
from predator.policy.decision import Context, PolicyDecision
from predator.ports.runtime import Json

if TYPE_CHECKING:
    from predator.loop.record import Record


def ask_a_person(
    record: Record, name: str, effect: str, subject: str, release: str, answer: PolicyDecision
) -> Json:
    """Put the question on the register and on record, once; what the flow waits for."""
    now = record.ring.clock.now()
    governance = record.ring.governance
    kept = governance.request(
        Approval(
            f"{record.cycle_id}:{name}",
            record.options.contour,
            record.cycle_id,
            effect,
            subject or f"{effect} by {record.principal.role}",
            release,
            answer.rule,
            now,
            now + record.options.approval_expires_s,
        ),
        str(record.folder),
    )
    record.journal.append_once(
        f"{name}:approval",
        {"type": "approval", "id": kept.id, "rule": answer.rule, "subject": kept.subject},
    )
    return {"pending": kept.id, "expires_at": kept.expires_at}


def refused(
    record: Record, approval_id: str, expires_at: float, effect: str, context: Context
) -> str:
    """Wait for a person's answer: empty for a yes, else why it is none.

    The message only wakes the flow; what counts is the register.
    """
    record.ring.progress.note(f'waiting for a person: predator approve {approval_id} --reason "…"')
    turn = 0
    while True:
        found = record.step(
            f"approval:{approval_id}:{turn}", lambda: _state(record, approval_id, effect, context)
        )
        if found["state"] == "approved":
            return ""
        if found["state"] != "pending" or found["now"] >= expires_at or found["why"]:
            return str(found["why"] or "nobody answered in time")
        record.runtime.wait(f"approval:{approval_id}", min(60.0, expires_at - found["now"] + 1))
        turn += 1


def _state(record: Record, approval_id: str, effect: str, context: Context) -> Json:
    kept = record.ring.governance.approvals.get(approval_id)
    state = kept.state if kept is not None else "unknown"
    why = record.cancelled() or record.denied(effect, {**context, "approved": True}) or ""
    if kept is not None and state != "pending":
        why = f"{state} by {kept.actor}: {kept.reason}"
        record.journal.append_once(
            f"approval:{approval_id}",
            {"type": "approved" if state == "approved" else "rejected", "id": approval_id,
             "actor": kept.actor, "reason": kept.reason},
        )  # fmt: skip
    return {"state": state, "now": record.ring.clock.now(), "why": why}

"""``predator approvals``, ``approve`` and ``reject``: what waits for a person, and the answer."""

from __future__ import annotations

from collections.abc import Sequence

from predator.domain.governance import Approval
from predator.edge.cli.desk import at_desk, now, who
from predator.edge.cli.shown import print_json, print_table, say
from predator.edge.cli.times import moment, relative


def list_approvals(contour: str | None, pending: bool, as_json: bool, pairs: Sequence[str]) -> None:
    """Requests, newest first; ``pending``: those that can still be answered."""
    with at_desk(pairs) as office:
        at = now(office)
        found = office.operator.approvals(contour, pending=pending)
        if pending:
            found = [one for one in found if one.expires_at > at]
        if as_json:
            print_json(found)
            return
        rows = [
            (
                one.id,
                one.contour,
                one.action,
                one.subject,
                one.rule,
                moment(one.requested_at, at),
                _state(one, at),
            )
            for one in found
        ]
        titles = ("approval", "contour", "action", "what about", "rule", "asked", "state")
        print_table(titles, rows, "nothing waits" if pending else "nobody was asked yet")


def answer(
    approval_id: str,
    approved: bool,
    reason: str,
    actor: str | None,
    as_json: bool,
    pairs: Sequence[str],
) -> None:
    """Say yes or no, once; the cycle goes on with the answer."""
    with at_desk(pairs) as office:
        act = office.operator.approve if approved else office.operator.reject
        answered = act(approval_id, actor=who(actor), reason=reason)
        if as_json:
            print_json(answered)
            return
        one = answered.approval
        say(f"{one.state}: {one.action} on {one.contour} ({one.id}), by {one.actor}")
        if not answered.delivered:
            say("its cycle could not be told; it looks by itself within a minute while it runs")


def _state(one: Approval, at: float) -> str:
    if one.state != "pending":
        return f"{one.state} by {one.actor}: {one.reason}"
    if one.expires_at <= at:
        return f"expired {relative(one.expires_at, at)}"
    return f"pending, expires {relative(one.expires_at, at)}"

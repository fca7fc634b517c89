"""``predator cycle request``, ``cancel``, ``keep`` and ``rollback``: a worker does them."""

from __future__ import annotations

from collections.abc import Sequence

from predator.bootstrap.operator import check_platform
from predator.edge.cli.asked import check_ended_well, wait_for
from predator.edge.cli.desk import at_desk, who
from predator.edge.cli.shown import plain, print_json, say


def request(
    contour: str | None, reason: str, actor: str | None, as_json: bool, pairs: Sequence[str]
) -> None:
    """Queue a cycle and print its id; policy and limits are asked by the cycle itself."""
    with at_desk(pairs) as office:
        check_platform(office.settings)
        where = contour or office.settings.contour
        cycle_id = office.operator.request_cycle(where, actor=who(actor), reason=reason)
        if as_json:
            print_json({"cycle_id": cycle_id, "contour": where, "state": "queued"})
            return
        say(
            f"queued {cycle_id} on {where}",
            f"a worker takes it (`predator worker`); see `predator cycle show {cycle_id}`",
        )


def cancel(
    cycle_id: str, reason: str, actor: str | None, as_json: bool, pairs: Sequence[str]
) -> None:
    """Ask a cycle to stop; what it gave to users it takes back itself."""
    with at_desk(pairs) as office:
        asked = office.operator.cancel_cycle(cycle_id, actor=who(actor), reason=reason)
        if as_json:
            print_json({"cycle_id": cycle_id, "cancelled": asked})
            return
        say(
            f"{cycle_id} stops before its next effect, and takes back what users got of it"
            if asked
            else f"{cycle_id} was asked to stop before"
        )


def keep(
    cycle_id: str,
    reason: str,
    actor: str | None,
    wait_s: float,
    as_json: bool,
    pairs: Sequence[str],
) -> None:
    """Queue the keeping of a release that its watch could not judge, and wait a while for it.

    ``PredatorError`` where it failed.
    """
    with at_desk(pairs) as office:
        check_platform(office.settings)
        operator = office.operator
        flow_id = operator.keep(cycle_id, actor=who(actor), reason=reason)
        found = wait_for(operator.keep_status, flow_id, wait_s)
        if as_json:
            print_json({**plain(found), "cycle_id": cycle_id})
        else:
            say(f"keeping the release of {cycle_id}: {found.state}", f"its id is {flow_id}")
            if found.state == "queued":
                say("no worker has taken it yet (`predator worker`); it is kept until one does")
        check_ended_well("the keeping", found)


def rollback(
    to_version: str | None,
    contour: str | None,
    reason: str,
    actor: str | None,
    wait_s: float,
    as_json: bool,
    pairs: Sequence[str],
) -> None:
    """Queue a way back, also while the kill switch is engaged, and wait a while for its end.

    ``PredatorError`` where it failed.
    """
    with at_desk(pairs) as office:
        check_platform(office.settings)
        operator = office.operator
        where = contour or office.settings.contour
        flow_id = operator.rollback(where, to_version, actor=who(actor), reason=reason)
        found = wait_for(operator.rollback_status, flow_id, wait_s)
        if as_json:
            print_json({**plain(found), "contour": where, "to_version": to_version})
        else:
            target = to_version or "the newest other stable version"
            say(f"rollback of {where} to {target}: {found.state}")
            say(f"its id is {flow_id}")
            if found.state == "queued":
                say("no worker has taken it yet (`predator worker`); it is kept until one does")
        check_ended_well("the rollback", found)

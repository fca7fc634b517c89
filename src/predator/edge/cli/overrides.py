"""``predator gates`` and ``predator override``: what a candidate must meet, and exceptions."""

from __future__ import annotations

from collections.abc import Sequence

from predator.domain.governance import Override
from predator.edge.cli.desk import at_desk, now, who
from predator.edge.cli.shown import print_json, print_table, say
from predator.edge.cli.times import expiry, moment, relative


def list_gates(contour: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """The gates of a contour as they count now."""
    with at_desk(pairs) as office:
        found = office.operator.gates(contour or office.settings.contour)
        if as_json:
            print_json(found)
            return
        rows = []
        for gate in found:
            sign = "≥" if gate.direction == "min" else "≤"
            change = (
                f"{sign} {gate.delta_rel:+.1%} of the baseline"
                if gate.delta_rel is not None
                else ""
            )
            level = f"{sign} {gate.limit:g}" if gate.limit is not None else ""
            rows.append((gate.name, change, level, gate.override_id))
        print_table(("gate", "change", "level", "level set by"), rows, "no gates")


def override_gate(
    gate: str,
    threshold: float,
    reason: str,
    expires: str,
    contour: str | None,
    actor: str | None,
    as_json: bool,
    pairs: Sequence[str],
) -> None:
    """Set the level of a gate for a while."""
    with at_desk(pairs) as office:
        granted = office.operator.override_gate(
            contour or office.settings.contour,
            gate,
            threshold,
            reason=reason,
            expires_at=expiry(expires, now(office)),
            actor=who(actor),
        )
        _granted(granted, f"{gate} at {threshold:g}", now(office), as_json)


def override_policy(
    action: str,
    reason: str,
    expires: str,
    contour: str | None,
    actor: str | None,
    as_json: bool,
    pairs: Sequence[str],
) -> None:
    """Let an action pass for a while although policy says DENY or NEEDS_APPROVAL."""
    with at_desk(pairs) as office:
        granted = office.operator.override_policy(
            contour or office.settings.contour,
            action,
            reason=reason,
            expires_at=expiry(expires, now(office)),
            actor=who(actor),
        )
        _granted(granted, action, now(office), as_json)


def list_overrides(contour: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """All that were ever granted, newest first."""
    with at_desk(pairs) as office:
        found = office.operator.overrides(contour)
        if as_json:
            print_json(found)
            return
        at = now(office)
        rows = [
            (
                one.id,
                one.contour,
                f"{one.target} at {one.threshold:g}" if one.threshold is not None else one.target,
                one.actor + (f", {one.second}" if one.second else ""),
                one.reason,
                moment(one.created_at, at),
                _state(one, at),
            )
            for one in found
        ]
        titles = ("override", "contour", "of", "by", "reason", "granted", "state")
        print_table(titles, rows, "no overrides")


def confirm(override_id: str, actor: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """The second person's word."""
    with at_desk(pairs) as office:
        one = office.operator.confirm_override(override_id, actor=who(actor))
        _print(
            one, f"{one.id} counts now: granted by {one.actor}, confirmed by {one.second}", as_json
        )


def revoke(override_id: str, actor: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """End an override now."""
    with at_desk(pairs) as office:
        one = office.operator.revoke_override(override_id, actor=who(actor))
        _print(one, f"{one.id} counts no more: revoked by {one.revoked_by}", as_json)


def _granted(granted: Override, what: str, at: float, as_json: bool) -> None:
    waits = f"; it waits for a second person: `predator override confirm {granted.id}`"
    _print(
        granted,
        f"{granted.id}: {what} on {granted.contour}, ends {moment(granted.expires_at, at)}"
        f"{waits if granted.needs_second else ''}",
        as_json,
    )


def _print(one: Override, line: str, as_json: bool) -> None:
    if as_json:
        print_json(one)
    else:
        say(line)


def _state(one: Override, at: float) -> str:
    if one.revoked_at is not None:
        return f"revoked by {one.revoked_by} {relative(one.revoked_at, at)}"
    if at >= one.expires_at:
        return f"ended {relative(one.expires_at, at)}"
    if one.needs_second and one.confirmed_at is None:
        return "waits for a second person"
    return f"counts, ends {relative(one.expires_at, at)}"

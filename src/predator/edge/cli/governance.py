"""The commands with which people govern the loop. Each imports what it needs when it runs."""

from __future__ import annotations

from typing import Annotated

import typer

from predator.edge.cli.given import (
    Actor,
    AnyContour,
    AsJson,
    Contour,
    CycleId,
    Expires,
    Reason,
    Set,
    Where,
)

kill = typer.Typer(help="Stop the loop, or let it act again.", no_args_is_help=True)
policy = typer.Typer(help="Ask the policy.", no_args_is_help=True)
flags = typer.Typer(help="Switches that count from the next effect on.", no_args_is_help=True)
override = typer.Typer(help="Exceptions with a name, a reason and an end.", no_args_is_help=True)

OverrideId = Annotated[str, typer.Argument(help="From `predator override list`.")]
ApprovalId = Annotated[str, typer.Argument(help="From `predator approvals`.")]
FlagName = Annotated[str, typer.Argument(help="Such as manual_approval_required.")]
Environment = Annotated[str, typer.Option("--env", help="A contour, or `all`.")]


def add_to(app: typer.Typer) -> None:
    """Put these commands into the command line."""
    app.add_typer(kill, name="kill")
    app.add_typer(policy, name="policy")
    app.add_typer(flags, name="flags")
    app.add_typer(override, name="override")
    for command in (approve, reject, approvals, gates, rollback):
        app.command()(command)


@kill.command("on")
def kill_on(
    reason: Reason,
    contour: Where = "all",
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Stop everything but the way back, from the next effect on."""
    from predator.edge.cli.kill import switch_on

    switch_on(contour, reason, actor, as_json, set_ or [])


@kill.command("off")
def kill_off(
    reason: Reason,
    contour: Where = "all",
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Let the loop act again; says what is still stopped."""
    from predator.edge.cli.kill import switch_off

    switch_off(contour, reason, actor, as_json, set_ or [])


@kill.command("status")
def kill_status(contour: Where = "all", as_json: AsJson = False, set_: Set = None) -> None:
    """Which contours are stopped, and by which row."""
    from predator.edge.cli.kill import show_switch

    show_switch(contour, as_json, set_ or [])


@policy.command("explain")
def policy_explain(
    action: Annotated[str, typer.Argument(help="An effect, such as promote.")],
    contour: Contour = None,
    role: Annotated[str, typer.Option(help="loop, drill or operator.")] = "loop",
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """What policy says to an action now, by which rule, and what mattered."""
    from predator.edge.cli.policy import explain

    explain(action, contour, role, as_json, set_ or [])


def approvals(
    pending: Annotated[bool, typer.Option("--pending", help="Only what can be answered.")] = False,
    contour: AnyContour = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """What waits for a person, and what people answered."""
    from predator.edge.cli.approvals import list_approvals

    list_approvals(contour, pending, as_json, set_ or [])


def approve(
    approval_id: ApprovalId,
    reason: Reason,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Say yes to what waits; whoever asked for the cycle cannot."""
    from predator.edge.cli.approvals import answer

    answer(approval_id, True, reason, actor, as_json, set_ or [])


def reject(
    approval_id: ApprovalId,
    reason: Reason,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Say no to what waits."""
    from predator.edge.cli.approvals import answer

    answer(approval_id, False, reason, actor, as_json, set_ or [])


@flags.command("list")
def flags_list(contour: AnyContour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """Rows of feature_flags; what is in force, `predator state` says."""
    from predator.edge.cli.flags import list_flags

    list_flags(contour, as_json, set_ or [])


@flags.command("set")
def flags_set(
    name: FlagName,
    value: Annotated[str, typer.Argument(help="on or off")],
    environment: Environment,
    reason: Reason,
    metadata: Annotated[str | None, typer.Option(help="A JSON object.")] = None,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Set a row."""
    from predator.edge.cli.flags import set_flag

    set_flag(name, value, environment, metadata, reason, actor, as_json, set_ or [])


@flags.command("remove")
def flags_remove(
    name: FlagName,
    environment: Environment,
    reason: Reason,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Take a row away, so that the contour's file counts again."""
    from predator.edge.cli.flags import remove_flag

    remove_flag(name, environment, reason, actor, as_json, set_ or [])


def gates(contour: Contour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """What a candidate must meet, overrides applied."""
    from predator.edge.cli.overrides import list_gates

    list_gates(contour, as_json, set_ or [])


@override.command("gate")
def override_gate(
    gate: Annotated[str, typer.Argument(help="From `predator gates`.")],
    threshold: Annotated[float, typer.Option(help="The level that counts meanwhile.")],
    reason: Reason,
    expires: Expires,
    contour: Contour = None,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Set the level of a gate for a while."""
    from predator.edge.cli import overrides

    overrides.override_gate(gate, threshold, reason, expires, contour, actor, as_json, set_ or [])


@override.command("policy")
def override_policy(
    action: Annotated[str, typer.Argument(help="An effect, such as promote.")],
    reason: Reason,
    expires: Expires,
    contour: Contour = None,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Let an action pass for a while although policy says DENY or NEEDS_APPROVAL."""
    from predator.edge.cli import overrides

    overrides.override_policy(action, reason, expires, contour, actor, as_json, set_ or [])


@override.command("list")
def override_list(contour: AnyContour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """All that were ever granted, newest first."""
    from predator.edge.cli.overrides import list_overrides

    list_overrides(contour, as_json, set_ or [])


@override.command("confirm")
def override_confirm(
    override_id: OverrideId, actor: Actor = None, as_json: AsJson = False, set_: Set = None
) -> None:
    """The second person's word, without which none counts on production contours."""
    from predator.edge.cli.overrides import confirm

    confirm(override_id, actor, as_json, set_ or [])


@override.command("revoke")
def override_revoke(
    override_id: OverrideId, actor: Actor = None, as_json: AsJson = False, set_: Set = None
) -> None:
    """End an override now."""
    from predator.edge.cli.overrides import revoke

    revoke(override_id, actor, as_json, set_ or [])


def add_cycle_commands(cycle: typer.Typer) -> None:
    """Put the verbs for cycles beside those that look at them."""
    for name, command in (
        ("request", request), ("cancel", cancel), ("keep", keep), ("replay", replay),
        ("rollback", rollback),
    ):  # fmt: skip
        cycle.command(name)(command)


def request(
    reason: Reason,
    contour: Contour = None,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Ask for a cycle; prints its id."""
    from predator.edge.cli import cycle_acts

    cycle_acts.request(contour, reason, actor, as_json, set_ or [])


def cancel(
    cycle_id: CycleId,
    reason: Reason,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Ask a cycle to stop; what it gave to users it takes back itself."""
    from predator.edge.cli import cycle_acts

    cycle_acts.cancel(cycle_id, reason, actor, as_json, set_ or [])


def keep(
    cycle_id: CycleId,
    reason: Reason,
    wait: Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait for it.")] = 10,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Keep a release whose watch ended in HOLD; its hold-back ends."""
    from predator.edge.cli import cycle_acts

    cycle_acts.keep(cycle_id, reason, actor, wait, as_json, set_ or [])


def replay(cycle_id: CycleId, as_json: AsJson = False, set_: Set = None) -> None:
    """Derive every decision of a cycle again, and compare."""
    from predator.edge.cli.audit import replay_cycle

    replay_cycle(cycle_id, as_json, set_ or [])


def rollback(
    reason: Reason,
    to: Annotated[
        str | None,
        typer.Option(help="Such as v1.0 (default: the newest stable one before the live one)."),
    ] = None,
    contour: Contour = None,
    wait: Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait for it.")] = 10,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Go back to a stable release, also while the kill switch is engaged."""
    from predator.edge.cli import cycle_acts

    cycle_acts.rollback(to, contour, reason, actor, wait, as_json, set_ or [])

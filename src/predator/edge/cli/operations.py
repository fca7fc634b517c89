"""The commands with which people look at the loop, and let others in."""

from __future__ import annotations

from typing import Annotated

import typer

from predator.edge.cli.given import Actor, AsJson, Contour, CycleId, Set

audit = typer.Typer(help="What was done, and whether the record holds.", no_args_is_help=True)
gold = typer.Typer(help="The questions that decide.", no_args_is_help=True)
token = typer.Typer(help="Who may call the admin API.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Put these commands into the command line."""
    app.add_typer(audit, name="audit")
    app.add_typer(gold, name="gold")
    app.add_typer(token, name="token")
    for command in (state, releases, experiments, notices, admin):
        app.command()(command)


def state(contour: Contour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """How a contour stands: stopped or not, live, under way, waiting, spent."""
    from predator.edge.cli.state import show_state

    show_state(contour, as_json, set_ or [])


def releases(contour: Contour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """Every release that was live, newest first."""
    from predator.edge.cli.releases import list_releases

    list_releases(contour, as_json, set_ or [])


def experiments(contour: Contour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """What is tried on users, and what was found."""
    from predator.edge.cli.releases import list_experiments

    list_experiments(contour, as_json, set_ or [])


def notices(as_json: AsJson = False, set_: Set = None) -> None:
    """What people were told, newest first."""
    from predator.edge.cli.notices import list_notices

    list_notices(as_json, set_ or [])


def admin(
    with_parent: Annotated[bool, typer.Option("--with-parent", hidden=True)] = False,
    set_: Set = None,
) -> None:
    """Serve the admin API; prints its address."""
    from predator.edge.cli.admin import serve_admin

    serve_admin(set_ or [], with_parent=with_parent)


@gold.command("show")
def gold_show(as_json: AsJson = False, set_: Set = None) -> None:
    """The Gold set: version, seal, who judged it, how it was split off, how stale it is."""
    from predator.edge.cli.gold import show_gold

    show_gold(as_json, set_ or [])


@audit.command("verify")
def audit_verify(
    cycle: Annotated[str | None, typer.Option("--cycle", help="Only this cycle.")] = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Check every cycle's journal, files and anchor."""
    from predator.edge.cli.audit import verify_audit

    verify_audit(cycle, as_json, set_ or [])


@audit.command("show")
def audit_show(cycle_id: CycleId, as_json: AsJson = False, set_: Set = None) -> None:
    """The records of a cycle."""
    from predator.edge.cli.people import show_audit

    show_audit(cycle_id, as_json, set_ or [])


@audit.command("operators")
def audit_operators(as_json: AsJson = False, set_: Set = None) -> None:
    """What people did, verified."""
    from predator.edge.cli.people import show_operators

    show_operators(as_json, set_ or [])


@token.command("issue")
def token_issue(
    actor: Annotated[str, typer.Option("--actor", help="Whose token it is.")],
    role: Annotated[str, typer.Option(help="viewer, operator, approver, admin or agent.")],
    contour: Annotated[
        list[str] | None, typer.Option("--contour", help="Only there (default: everywhere).")
    ] = None,
    days: Annotated[float, typer.Option(min=0, max=366, help="How long it is good.")] = 90,
    by: Annotated[
        str | None, typer.Option("--by", help="Who issues it (default: the user here).")
    ] = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Make a token; its text is printed, this once."""
    from predator.edge.cli.tokens import issue

    issue(actor, role, contour or [], days, by, as_json, set_ or [])


@token.command("list")
def token_list(as_json: AsJson = False, set_: Set = None) -> None:
    """Every token, without its text."""
    from predator.edge.cli.tokens import list_tokens

    list_tokens(as_json, set_ or [])


@token.command("revoke")
def token_revoke(
    token_id: Annotated[str, typer.Argument(help="From `predator token list`.")],
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """End a token now."""
    from predator.edge.cli.tokens import revoke

    revoke(token_id, actor, as_json, set_ or [])

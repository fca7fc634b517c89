"""The commands with which people look at the loop, and let others in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from predator.edge.cli.given import Actor, AsJson, Contour, CycleId, Reason, Set

audit = typer.Typer(help="What was done, and whether the record holds.", no_args_is_help=True)
experiment = typer.Typer(help="What is tried on users.", no_args_is_help=True)
gold = typer.Typer(help="The questions that decide.", no_args_is_help=True)
release = typer.Typer(help="Releases from contour to contour.", no_args_is_help=True)
token = typer.Typer(help="Who may call the admin API.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Put these commands into the command line."""
    app.add_typer(audit, name="audit")
    app.add_typer(experiment, name="experiment")
    app.add_typer(gold, name="gold")
    app.add_typer(release, name="release")
    app.add_typer(token, name="token")
    for command in (state, releases, notices, admin):
        app.command()(command)


def state(contour: Contour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """How a contour stands: stopped or not, live, under way, waiting, spent."""
    from predator.edge.cli.state import show_state

    show_state(contour, as_json, set_ or [])


def releases(contour: Contour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """Every release that was live, newest first."""
    from predator.edge.cli.releases import list_releases

    list_releases(contour, as_json, set_ or [])


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


@experiment.command("list")
def experiment_list(contour: Contour = None, as_json: AsJson = False, set_: Set = None) -> None:
    """What is tried on users, and what was found."""
    from predator.edge.cli.experiments import list_experiments

    list_experiments(contour, as_json, set_ or [])


@experiment.command("show")
def experiment_show(
    experiment_id: Annotated[str, typer.Argument(metavar="ID", help="From `experiment list`.")],
    plot: Annotated[
        Path | None, typer.Option(help="Draw it into this file, .svg or .html.")
    ] = None,
    language: Annotated[str, typer.Option("--lang", help="The words: en or uk.")] = "en",
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """One experiment: sizes, estimates with intervals, why the verdict, and the looks drawn."""
    from predator.edge.cli.experiments import show_experiment

    show_experiment(experiment_id, as_json, plot, language, set_ or [])


@experiment.command("shadow")
def experiment_shadow(
    release: Annotated[str, typer.Argument(help="A version, or a release's digest.")],
    baseline: Annotated[
        str | None, typer.Option(help="What it is compared with (default: what is live).")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(help="One query a line (default: what users asked lately).")
    ] = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="Most queries.")] = 500,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Answer recorded queries by two releases, where no user sees it; exit 1: to be blocked."""
    from predator.edge.cli.shadow import shadow

    code = shadow(release, baseline, queries, most, as_json, set_ or [])
    raise typer.Exit(code)


@gold.command("show")
def gold_show(as_json: AsJson = False, set_: Set = None) -> None:
    """The Gold set: version, seal, who judged it, how it was split off, how stale it is."""
    from predator.edge.cli.gold import show_gold

    show_gold(as_json, set_ or [])


@release.command("promote")
def release_promote(
    version: Annotated[str, typer.Argument(help="From `predator releases`.")],
    source: Annotated[str, typer.Option("--from", help="The contour where it passed.")],
    target: Annotated[str, typer.Option("--to", help="The contour right after it.")],
    reason: Reason,
    actor: Actor = None,
    wait: Annotated[
        float, typer.Option(min=0, max=3600, help="Seconds to wait for what comes of it.")
    ] = 10,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say whether it may, and ask for nothing.")
    ] = False,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Bring a release that passed its experiment to the next contour."""
    from predator.edge.cli.promotions import promote

    promote(version, source, target, reason, actor, wait, dry_run, as_json, set_ or [])


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

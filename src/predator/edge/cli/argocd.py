"""``predator argocd``: what Argo CD deployed, and a way back for when a commit does not do."""

from __future__ import annotations

from typing import Annotated

import typer

from predator.edge.cli.given import Actor, AsJson, Reason, Set

argocd = typer.Typer(help="What Argo CD deployed, and a way back.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Put these commands into the command line."""
    app.add_typer(argocd, name="argocd")


@argocd.command("history")
def history(as_json: AsJson = False, set_: Set = None) -> None:
    """What can be brought back, newest first."""
    from predator.edge.cli.break_glass import show_history

    show_history(as_json, set_ or [])


@argocd.command("rollback")
def rollback(
    reason: Reason,
    history_id: Annotated[
        int | None,
        typer.Argument(metavar="ID", help="From `argocd history` (default: the last other one)."),
    ] = None,
    actor: Actor = None,
    as_json: AsJson = False,
    set_: Set = None,
) -> None:
    """Break-glass: through Argo CD's history, then git. `predator rollback` comes first."""
    from predator.edge.cli.break_glass import roll_back

    roll_back(history_id, reason, actor, as_json, set_ or [])

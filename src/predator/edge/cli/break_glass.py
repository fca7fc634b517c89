"""The way back through Argo CD's own history: no worker, no policy, and on record."""

from __future__ import annotations

from collections.abc import Sequence

from predator.bootstrap.current import no_platform
from predator.bootstrap.deployer import break_glass_of
from predator.bootstrap.home import Home, Run
from predator.config import Settings
from predator.edge.cli.desk import at_desk, who
from predator.edge.cli.shown import plain, print_json, print_table, say


def show_history(as_json: bool, pairs: Sequence[str]) -> None:
    """Every entry of the application's history that can be brought back."""
    with at_desk(pairs) as office:
        with break_glass_of(office.settings, _run(office.settings)) as glass:
            found = glass.history()
        if as_json:
            print_json(found)
            return
        rows = [
            (str(one.id), one.revision[:12], one.release.version if one.release else "not in git")
            for one in found
        ]
        print_table(("id", "commit", "version"), rows, "nothing was deployed yet")


def roll_back(
    history_id: int | None, reason: str, actor: str | None, as_json: bool, pairs: Sequence[str]
) -> None:
    """Roll back, restore in git, and see both agree."""
    with at_desk(pairs) as office:
        settings, person = office.settings, who(actor)
        trailers = {"Actor": " ".join(person.split())}
        with break_glass_of(settings, _run(settings)) as glass:
            found = office.operator.on_record(
                "break_glass",
                person,
                {"contour": settings.contour, "history_id": history_id, "reason": reason},
                lambda: glass.roll_back(history_id, reason, trailers),
            )
        if as_json:
            print_json(plain(found))
            return
        version = found.entry.release.version if found.entry.release else found.entry.revision[:12]
        say(
            f"{version} runs, and git wants it by {found.commit[:12]}",
            "auto-sync is on again" if found.auto_sync else "auto-sync is off, as it was",
        )


def _run(settings: Settings) -> Run:
    home = Home(settings)
    run = home.current_run()
    if run is None:
        raise no_platform(home.root)
    return run

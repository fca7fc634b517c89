"""``predator audit verify`` and ``predator cycle replay``: is the record what was written, and
does it lead to the same decisions again?
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from predator.bootstrap.home import Home, Run
from predator.bootstrap.platform import desired_of
from predator.config import Settings
from predator.domain.errors import InputError, IntegrityError
from predator.domain.ids import is_cycle_id
from predator.edge.cli.options import settings_from

if TYPE_CHECKING:
    from predator.loop.anchor import Anchors
    from predator.loop.replay import Replayed
    from predator.loop.verify import Verified


def verify_audit(cycle_id: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """Check every cycle's journal, files and anchor, or one cycle's.

    Raises ``IntegrityError`` naming the first record that is not as it was written.
    """
    from predator.loop.verify import verify_all, verify_cycle

    settings = settings_from(pairs)
    artifacts = Home(settings).artifacts
    anchors = anchors_of(settings)
    if cycle_id is None:
        found = list(verify_all(artifacts, anchors))
    else:
        if not is_cycle_id(cycle_id):
            raise InputError(
                f"{cycle_id[:40]!r} is not a cycle id", cure="see `predator cycle list`"
            )
        found = [verify_cycle(artifacts / cycle_id, anchors)]
        if found[0].state == "empty" and found[0].ok:
            raise InputError(f"there is no cycle {cycle_id} in {artifacts}")
    if as_json:
        _print_json({"ok": all(one.ok for one in found), "cycles": [o.to_json() for o in found]})
    else:
        _print_verified(found, artifacts)
    bad = [one for one in found if not one.ok]
    if bad:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise IntegrityError(f"the audit does not hold: {bad[0].fault}{more}")


def replay_cycle(cycle_id: str, as_json: bool, pairs: Sequence[str]) -> None:
    """Derive every decision of a cycle again, and compare.

    Raises ``IntegrityError`` naming the first decision that differs.
    """
    from predator.loop.replay import replay

    folder = Home(settings_from(pairs)).artifacts / cycle_id
    if not is_cycle_id(cycle_id) or not folder.is_dir():
        raise InputError(
            f"there is no cycle {cycle_id[:40]!r} in {folder.parent}",
            cure="see `predator cycle list`",
        )
    replayed = replay(folder)
    if as_json:
        _print_json(replayed.to_json())
    else:
        _print_replayed(replayed)
    if not replayed.ok:
        differing = next((one for one in replayed.decisions if not one.ok), None)
        why = replayed.reason or (differing and f"{differing.key}: {differing.reason}")
        raise IntegrityError(f"the replay of {cycle_id} differs: {why}")


def anchors_of(settings: Settings) -> list[Anchors]:
    """What the GitOps repositories of all runs in the home folder know of cycles' journals."""
    from predator.loop.anchor import Anchors

    runs = Home(settings).root / "runs"
    folders = sorted(runs.iterdir()) if runs.is_dir() else []
    repositories = [Run(folder) for folder in folders if (folder / "gitops.git" / "HEAD").is_file()]
    return [Anchors(desired_of(run, settings.contour).gitops) for run in repositories]


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _print_verified(found: Sequence[Verified], artifacts: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    if not found:
        console.print(f"no cycles in {artifacts} yet; `predator run` makes one")
        return
    table = Table("cycle", "journal", "records", "files", "anchor", "", box=None)
    for one in found:
        table.add_row(
            one.cycle_id,
            one.state,
            str(one.records),
            str(one.files),
            "in git" if one.anchored else "–",
            "intact" if one.ok else one.fault.removeprefix(f"{one.cycle_id}: "),
        )
    console.print(table)


def _print_replayed(replayed: Replayed) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False)
    table = Table("decision", "by", "again", "", box=None)
    for one in replayed.decisions:
        table.add_row(one.key, one.decider, "the same" if one.ok else "differs", one.reason)
    console.print(table)
    same = sum(one.ok for one in replayed.decisions)
    console.print(f"{same} of {len(replayed.decisions)} decisions of {replayed.cycle_id} the same")

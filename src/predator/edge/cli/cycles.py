"""``predator cycle list`` and ``show``: what the artifacts of the cycles say."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from predator.bootstrap import Home
from predator.domain.errors import InputError
from predator.domain.ids import is_cycle_id
from predator.edge.cli.options import settings_from


def list_cycles(as_json: bool, pairs: Sequence[str]) -> None:
    """One line a cycle, newest first."""
    root = Home(settings_from(pairs)).artifacts
    rows = [_row(folder) for folder in _folders(root)]
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("cycle", no_wrap=True)
    for title in ("trigger", "cause", "offline", "experiment", "outcome", "cost, $"):
        table.add_column(title)
    names = (
        "cycle_id", "trigger", "cause", "evaluation", "experiment", "outcome", "cost_usd",
    )  # fmt: skip
    for row in rows:
        table.add_row(*(str(row[name] if row[name] is not None else "–") for name in names))
    console = Console()
    console.print(table if rows else f"no cycles in {root} yet; `predator run` makes one")


def show_cycle(cycle_id: str, as_json: bool, pairs: Sequence[str]) -> None:
    """The audit of one cycle, verified, with its files."""
    from predator.journal.audit import verify_journal
    from predator.loop.ring import files_of

    folder = Home(settings_from(pairs)).artifacts / cycle_id
    if not is_cycle_id(cycle_id) or not folder.is_dir():
        raise InputError(
            f"there is no cycle {cycle_id[:40]!r} in {folder.parent}",
            cure="see `predator cycle list`",
        )
    verified = verify_journal(folder / "audit.jsonl")
    shown = {
        **_row(folder),
        "actions": _summary(folder).get("actions", []),
        "audit": {"ok": verified.ok, "records": verified.records, "reason": verified.reason},
        "files": files_of(folder),
    }
    if as_json:
        sys.stdout.write(json.dumps(shown, indent=2, ensure_ascii=False) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.print(f"[bold]{cycle_id}[/]  {shown['outcome']}: {shown['reason'] or ''}")
    report = _read(folder / "diagnostic_report.json")
    for cause in report.get("causes", [])[:3]:
        console.print(
            f"  cause {cause['type']} ({cause['share_of_loss']:.0%}): {cause['evidence']}"
        )
    table = Table("#", "action", "status", "seconds", "details", box=None, header_style="bold")
    for action in shown["actions"]:
        details = {
            k: v for k, v in action.items()
            if k not in ("sequence", "type", "status", "duration_sec", "plan")
        }  # fmt: skip
        table.add_row(
            str(action["sequence"]), action["type"], action["status"],
            f"{action['duration_sec']:.1f}", json.dumps(details, ensure_ascii=False)[:110],
        )  # fmt: skip
    console.print(table)
    state = "intact" if verified.ok else f"BROKEN: {verified.reason}"
    console.print(f"audit: {verified.records} records, {state}")
    console.print(f"files in {folder}:\n  " + "\n  ".join(shown["files"]))


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted((p for p in root.iterdir() if is_cycle_id(p.name)), reverse=True)


def _row(folder: Path) -> dict[str, Any]:
    summary = _summary(folder)
    evaluation, experiment = (
        _read(folder / "evaluation.json"),
        _read(folder / "ab_test_results.json"),
    )
    result = experiment.get("result", {})
    return {
        "cycle_id": folder.name,
        "timestamp": summary.get("timestamp"),
        "trigger": summary.get("trigger", {}).get("type"),
        "cause": _read(folder / "diagnostic_report.json")
        .get("root_cause_analysis", {})
        .get("type"),
        "evaluation": evaluation.get("verdict"),
        "experiment": experiment.get("verdict"),
        "reason": result.get("reason") or evaluation.get("reason"),
        "outcome": summary.get("outcome", "unfinished"),
        "cost_usd": summary.get("total_cost_usd"),
    }


def _summary(folder: Path) -> dict[str, Any]:
    try:
        lines = (folder / "audit.jsonl").read_text().splitlines()
        return dict(json.loads(lines[-1]).get("summary", {}))
    except (OSError, ValueError, IndexError):
        return {}


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}

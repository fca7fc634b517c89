"""``predator cycle list`` and ``show``: what the register and the artifacts of the cycles say."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from predator.bootstrap.home import Home
from predator.bootstrap.operator import has_register, operating
from predator.config import Settings
from predator.domain.errors import InputError
from predator.domain.governance import CycleEntry
from predator.domain.ids import is_cycle_id
from predator.edge.cli.options import settings_from
from predator.edge.cli.shown import print_facts, print_json, print_table, say
from predator.edge.cli.times import moment, span
from predator.loop import cycle_files
from predator.loop.contract import CONTRACT
from predator.loop.verify import fault_of
from predator.ports.runtime import FlowStatus

MOST = 1000
"""Cycles of the register that a list shows."""


def list_cycles(contour: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """One line a cycle, newest first."""
    settings = settings_from(pairs)
    root = Home(settings).artifacts
    entries = _register(settings, contour)
    names = {*cycle_files.cycle_ids(root), *entries}
    rows = [
        _row(root / name, entries.get(name))
        for name in sorted(names, key=cycle_files.order, reverse=True)
    ]
    rows = [row for row in rows if contour in (None, row["contour"])]
    if as_json:
        print_json(rows)
        return
    titles = (
        "cycle", "contour", "trigger", "cause", "offline", "experiment", "outcome",
        "first action after", "verdict after", "cost, $",
    )  # fmt: skip
    shown = [
        (
            row["cycle_id"], row["contour"], row["trigger"], row["cause"], row["evaluation"],
            row["experiment"], row["state"], span(row["reaction_s"]), span(row["cycle_s"]),
            None if row["cost_usd"] is None else f"{row['cost_usd']:.4f}",
        )
        for row in rows
    ]  # fmt: skip
    print_table(titles, shown, f"no cycles in {root} yet; `predator run` makes one")


def show_cycle(cycle_id: str, as_json: bool, pairs: Sequence[str]) -> None:
    """One cycle: how far it is, what it did, its files; the journal and its files are verified."""
    from predator.journal.audit import verify_journal

    settings = settings_from(pairs)
    root = Home(settings).artifacts
    entry, flow = _entry(settings, cycle_id) if is_cycle_id(cycle_id) else (None, None)
    folder = root / cycle_id
    if not is_cycle_id(cycle_id) or (entry is None and not folder.is_dir()):
        raise InputError(
            f"there is no cycle {cycle_id[:40]!r} in {root}", cure="see `predator cycle list`"
        )
    verified = verify_journal(folder / "audit.jsonl")
    fault = fault_of(folder)
    shown = {
        **_row(folder, entry),
        "actions": _summary(folder).get("actions", []),
        "audit": {"ok": not fault, "records": verified.records, "reason": fault},
        "files": cycle_files.file_names(root, cycle_id),
        "flow": None if flow is None else flow.state,
    }
    if as_json:
        print_json(shown)
        return
    say(f"{cycle_id}  {shown['state']}: {shown['reason'] or ''}".rstrip(": "))
    for cause in _read(folder / "diagnostic_report.json").get("causes", [])[:3]:
        say(f"  cause {cause['type']} ({cause['share_of_loss']:.0%}): {cause['evidence']}")
    if entry is not None:
        _print_course(entry, shown)
    _print_actions(shown["actions"])
    state = f"BROKEN: {fault}" if fault else "intact"
    say(f"audit: {verified.records} records, {state}")
    if shown["files"]:
        say(f"files in {folder}:", *(f"  {name}" for name in shown["files"]))


def _print_course(entry: CycleEntry, shown: Mapping[str, Any]) -> None:
    now = time.time()
    facts: list[tuple[str, object]] = [
        ("contour", entry.contour),
        ("requested", f"{moment(entry.requested_at, now)}, for {entry.trigger.get('type')}"),
    ]
    facts += [
        (name.replace("_", " "), moment(at, now))
        for name, at in sorted(entry.moments.items(), key=lambda item: item[1])
    ]
    if entry.cancelled_by:
        facts.append(("to be stopped", f"{entry.cancelled_by}: {entry.cancel_reason}"))
    if shown["flow"] is not None:
        facts.append(("flow", shown["flow"]))
    if shown["reaction_s"] is not None:
        facts.append(("first action after", f"{span(shown['reaction_s'])}{_limit(entry)}"))
    if shown["cycle_s"] is not None:
        waited = span(shown["experiment_s"])
        facts.append(("verdict after", f"{span(shown['cycle_s'])}, and {waited} of experiment"))
    print_facts(facts)


def _limit(entry: CycleEntry) -> str:
    """How soon the contract wants the loop to react to such a signal (spec 6A.11)."""
    row = next((one for one in CONTRACT if one.trigger == entry.trigger.get("type")), None)
    return f" (the contract allows {span(row.react_within_s)})" if row is not None else ""


def _print_actions(actions: Sequence[Mapping[str, Any]]) -> None:
    own = ("sequence", "type", "status", "duration_sec", "plan", "files", "result_sha256")
    rows = []
    for action in actions:
        details = {name: value for name, value in action.items() if name not in own}
        rows.append(
            (action.get("sequence"), action.get("type"), action.get("status"),
             action.get("duration_sec"), json.dumps(details, ensure_ascii=False)[:110])
        )  # fmt: skip
    print_table(("#", "action", "status", "seconds", "details"), rows, "no actions yet")


def _register(settings: Settings, contour: str | None) -> Mapping[str, CycleEntry]:
    """What the register knows; nothing where there is none."""
    if not has_register(settings):
        return {}
    with operating(settings) as office:
        found = office.operator.cycles(contour, limit=MOST)
    return {entry.cycle_id: entry for entry in found}


def _entry(settings: Settings, cycle_id: str) -> tuple[CycleEntry | None, FlowStatus | None]:
    """A cycle's entry, and where its flow is while it has not ended."""
    if not has_register(settings):
        return None, None
    with operating(settings) as office:
        entry = office.operator.desk.cycles.get(cycle_id)
        going = entry is not None and not entry.outcome
        return entry, office.operator.cycle(cycle_id).flow if going else None


def _row(folder: Path, entry: CycleEntry | None) -> dict[str, Any]:
    summary = _summary(folder)
    evaluation, experiment = (
        _read(folder / "evaluation.json"),
        _read(folder / "ab_test_results.json"),
    )
    result = experiment.get("result", {})
    outcome = summary.get("outcome") or (entry.outcome if entry is not None else "")
    return {
        "cycle_id": folder.name,
        "contour": entry.contour if entry is not None else summary.get("environment"),
        "timestamp": summary.get("timestamp"),
        "trigger": (entry.trigger if entry is not None else summary.get("trigger", {})).get("type"),
        "cause": _read(folder / "diagnostic_report.json")
        .get("root_cause_analysis", {})
        .get("type"),
        "evaluation": evaluation.get("verdict"),
        "experiment": experiment.get("verdict"),
        "reason": _why(folder) or result.get("reason") or evaluation.get("reason"),
        "outcome": outcome or "unfinished",
        "state": outcome or (_stage(entry) if entry is not None else "unfinished"),
        "cost_usd": summary.get("total_cost_usd"),
        "requested_at": entry.requested_at if entry is not None else None,
        "moments": dict(entry.moments) if entry is not None else {},
        **_times(entry),
    }


def _why(folder: Path) -> str | None:
    """Why a cycle came to no verdict, where it came to none."""
    try:
        records = map(json.loads, (folder / "audit.jsonl").read_text().splitlines()[-2:])
        return next((str(r["reason"]) for r in records if r.get("type") == "ended"), None)
    except (OSError, ValueError, KeyError):
        return None


def _stage(entry: CycleEntry) -> str:
    """How far a cycle is that has not ended."""
    if entry.cancelled_by:
        return "stopping"
    return "running" if "started" in entry.moments else "queued"


def _times(entry: CycleEntry | None) -> dict[str, float | None]:
    """Seconds from the signal to the first action and to the end, and those in the experiment,
    apart: a cycle that waits a week for users is not a slow cycle. ``None``: not there yet."""
    found: dict[str, float | None] = dict.fromkeys(("reaction_s", "cycle_s", "experiment_s"))
    if entry is None:
        return found
    at = entry.moments
    if "first_action" in at:
        found["reaction_s"] = round(at["first_action"] - entry.requested_at, 3)
    if "ended" in at:
        waited = max(0.0, at.get("experiment_ended", 0.0) - at.get("experiment_started", 0.0))
        found["experiment_s"] = round(waited, 3)
        found["cycle_s"] = round(at["ended"] - entry.requested_at - waited, 3)
    return found


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

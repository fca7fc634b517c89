"""The end of ``predator run``: what happened, for people and as JSON."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from predator.config import Settings
from predator.loop.contract import CONTRACT
from predator.loop.cycle import Outcome


def to_json(
    outcomes: Sequence[Outcome],
    drilled: dict[str, Any] | None,
    traffic: dict[str, Any],
    duration_s: float,
    run: Path,
    commits: Sequence[str],
    *,
    resumed: bool,
    waits: str | None,
) -> dict[str, Any]:
    """The machine's view: the last cycle at the top level, every cycle under ``cycles``.

    ``waits``: the version that a person has to keep or to take back, which is why nothing was
    drilled.
    """
    cycles = [_cycle(outcome) for outcome in outcomes]
    return {
        **cycles[-1],
        "drill": drilled,
        "waits": waits,
        "resumed": resumed,
        "requests": traffic.get("sent", 0) + traffic.get("events", 0) + traffic.get("ratings", 0),
        "failed_requests": traffic.get("failed"),
        "traffic": traffic,
        "duration_s": round(duration_s, 1),
        "run": str(run),
        "gitops": {"repository": str(run / "gitops.git"), "commits": list(commits)},
        "cycles": cycles,
    }


def _cycle(outcome: Outcome) -> dict[str, Any]:
    gain = outcome.evaluation.get("gain") or {}
    return {
        "cycle_id": outcome.cycle_id,
        "trigger": outcome.trigger,
        "cause": outcome.cause,
        "ndcg_at_10": {
            "baseline": gain.get("baseline_mean"),
            "candidate": gain.get("candidate_mean"),
        },
        "delta": {
            "rel": gain.get("delta_rel"),
            "ci_low": gain.get("ci_low"),
            "ci_high": gain.get("ci_high"),
        },
        "verdict": str(outcome.verdict),
        "reason": outcome.reason,
        "promoted": outcome.promoted,
        "rolled_back": outcome.rolled_back,
        "release": {
            "before": {
                "version": outcome.release_before.version,
                "digest": outcome.release_before.digest,
            },
            "after": {
                "version": outcome.release_after.version,
                "digest": outcome.release_after.digest,
            },
        },
        "experiment": outcome.experiment,
        "watch": outcome.watch,
        "portfolio": outcome.portfolio,
        "cost_usd": outcome.cost_usd,
        "times": outcome.times,
        "artifacts": outcome.artifacts,
    }


def print_summary(
    result: dict[str, Any], outcomes: Sequence[Outcome], console: Console, settings: Settings
) -> None:
    """A page that needs no documentation."""
    console.rule("[bold]what happened")
    for outcome in outcomes:
        _print_cycle(outcome, console)
    drill = result["drill"]
    if drill is None:
        console.print(
            f"[bold yellow]Waits[/]  the watch could not judge {result['waits']}: its hold-back "
            "stays open until a person keeps it or takes it back, and there was no drill"
        )
        _print_choices(outcomes[-1], console)
    elif drill["caught"]:
        console.print(
            f"[bold]Drill[/]  a deliberately bad release was caught after "
            f"{drill['detected_s']:.1f} s and undone: {_traffic_back(drill['restored_s'])}, "
            f"{drill['reverts']} restoring commit in git"
        )
    else:
        console.print("[bold red]Drill[/]  the bad release was NOT caught by the watch")
    traffic = result["traffic"]
    console.print(
        f"[bold]Users[/]  {traffic.get('sent', 0)} searches and {traffic.get('events', 0)} clicks, "
        f"{result['failed_requests']} failed; p50 {traffic.get('p50_ms') or 0:.1f} ms, "
        f"p95 {traffic.get('p95_ms') or 0:.1f} ms (while everything above went on beside them)"
    )
    console.print(
        f"[dim]Waits are short here: windows of {settings.window_s:g} s, an experiment of at most "
        f"{settings.experiment_max_s:g} s, a watch of {settings.watch_looks} looks; see "
        f"`predator settings`. The run took {result['duration_s']:.0f} s.[/]"
    )
    last = outcomes[-1]
    home = settings.home.expanduser().absolute()
    command = _command()
    console.print("[bold]To look at[/]")
    for what, how in (
        ("the cycle", f"{command} cycle show {last.cycle_id}"),
        ("its files", last.artifacts),
        ("all cycles", f"{command} cycle list"),
        ("releases", f"git -C {result['gitops']['repository']} log"),
        ("the search", f'{command} serve   then   {command} search "sort an array"'),
        ("MLflow", f"mlflow ui --backend-store-uri sqlite:///{home}/mlflow.db  (the full mlflow)"),
        ("datasets", f"git clone {home}/lineage copy, then `dvc pull` in it"),
    ):
        console.print(f"  {what:<11}{escape(how)}", soft_wrap=True)


def _print_choices(last: Outcome, console: Console) -> None:
    command = _command()
    for what, how in (
        ("to keep", f"{command} cycle keep {last.cycle_id} --reason REASON"),
        ("to undo", f"{command} rollback --to {last.release_before.version} --reason REASON"),
    ):
        console.print(f"  {what:<11}{escape(how)}", soft_wrap=True)
    console.print(f"  (beside `{command} serve` and `{command} worker`)", soft_wrap=True)


def _traffic_back(after_s: float | None) -> str:
    if after_s is None:
        return "nobody searched meanwhile, so when traffic was back is not known"
    return f"traffic back {after_s:.3f} s after the decision"


def _limit(trigger: str) -> str:
    """What the contract allows for such a signal (spec 6A.11)."""
    row = next((one for one in CONTRACT if one.trigger == trigger), None)
    return f" (the contract allows {row.react_within_s:g} s)" if row is not None else ""


def _command() -> str:
    """How this program was called, so that the lines above can be copied."""
    return "predator" if shutil.which("predator") else str(Path(sys.argv[0]))


def _print_cycle(outcome: Outcome, console: Console) -> None:
    gain = outcome.evaluation.get("gain") or {}
    times = outcome.times
    why = "on schedule" if outcome.trigger == "scheduled" else f"because of {outcome.trigger}"
    console.print(f"[bold]Cycle[/]  {outcome.cycle_id} began {why}; cause: {outcome.cause}")
    if gain:
        console.print(
            f"[bold]Gain[/]   NDCG@10 on {gain['n']} held-out queries "
            f"{gain['baseline_mean']:.3f} → {gain['candidate_mean']:.3f}: {gain['delta_rel']:+.1%} "
            f"(95% CI {gain['ci_low']:+.1%} … {gain['ci_high']:+.1%})"
        )
    if "cycle_s" in times:
        console.print(
            f"[bold]Time[/]   first action {times.get('reaction_s', 0):.1f} s after the signal"
            f"{_limit(outcome.trigger)}, "
            f"verdict after {times['cycle_s']:.0f} s + {times['experiment_s']:.0f} s of experiment"
        )
    experiment = outcome.experiment
    if experiment:
        found = experiment["result"]["difference"] or {}
        console.print(
            f"[bold]Users[/]  experiment on {found.get('n_a', 0) + found.get('n_b', 0)} searches: "
            f"{escape(experiment['result']['reason'])}"
        )
    before, after = outcome.release_before.version, outcome.release_after.version
    if outcome.rolled_back:
        console.print(
            f"[bold]Result[/] promoted, then rolled back to {before}: {escape(outcome.reason)}"
        )
    elif outcome.promoted:
        last = outcome.watch[-1]["decision"] if outcome.watch else "not watched"
        console.print(f"[bold green]Result[/] {before} → {after} is live; watch: {last}")
    else:
        console.print(
            f"[bold]Result[/] {before} stays; {outcome.verdict}: {escape(outcome.reason)}"
        )

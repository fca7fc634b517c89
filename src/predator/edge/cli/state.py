"""``predator state``: how a contour stands, on one screen."""

from __future__ import annotations

from collections.abc import Sequence

from predator.bootstrap.operator import Office
from predator.domain.errors import PredatorError
from predator.edge.cli.desk import at_desk, now
from predator.edge.cli.shown import plain, print_facts, print_json, say
from predator.edge.cli.times import moment, relative
from predator.loop.operator.views import State
from predator.ports.releases import KeptRelease


def show_state(contour: str | None, as_json: bool, pairs: Sequence[str]) -> None:
    """What cannot be read is said to be unknown; the rest is shown."""
    with at_desk(pairs) as office:
        where = contour or office.settings.contour
        state = office.operator.state(where)
        gold, gold_unknown = _gold(office)
        if as_json:
            unknown = {**state.unknown, **({"gold": gold_unknown} if gold_unknown else {})}
            print_json({**plain(state), "gold": plain(gold), "unknown": unknown})
            return
        at = now(office)
        say(f"{where}: {'STOPPED' if state.stopped else 'not stopped'}")
        print_facts(
            [
                ("kill switch", _switch(state)),
                ("live", _live(state)),
                ("Gold", f"unknown: {gold_unknown}" if gold_unknown else _release(gold, at)),
                ("cycles", _cycles(state, at)),
                ("experiment", _experiment(state)),
                ("approvals", _approvals(state)),
                ("budget", _budget(state)),
                ("flags", ", ".join(f"{n} {'on' if v else 'off'}" for n, v in state.flags.items())),
            ]
        )


def _gold(office: Office) -> tuple[KeptRelease | None, str]:
    releases = office.operator.desk.releases
    try:
        return (releases.newest("gold") if releases is not None else None), ""
    except PredatorError as error:
        return None, str(error)


def _switch(state: State) -> str:
    if "flags" in state.unknown:
        return f"unknown, so it counts as on: {state.unknown['flags']}"
    rows = [f"{name} {'on' if on else 'off'}" for name, on in state.kill_switch.items()]
    return ", ".join(rows) or f"{'on' if state.stopped else 'off'}, by the contour's file"


def _live(state: State) -> str:
    if "live" in state.unknown:
        return f"unknown: {state.unknown['live']}"
    if state.live is None:
        return "nothing"
    return f"{state.live.version}, release {state.live.digest[:12]}, by {state.live.cycle}"


def _release(gold: KeptRelease | None, at: float) -> str:
    if gold is None:
        return "none yet"
    measured = f", NDCG@10 {gold.ndcg:.3f}" if gold.ndcg is not None else ""
    return f"{gold.version}, release {gold.digest[:12]}{measured}, since {moment(gold.gold_at, at)}"


def _cycles(state: State, at: float) -> list[str]:
    if "cycles" in state.unknown:
        return [f"unknown: {state.unknown['cycles']}"]
    today = "unknown" if state.cycles_today is None else str(state.cycles_today)
    lines = [f"{len(state.running)} under way, {today} of {state.max_cycles_per_day} today"]
    for entry in state.running:
        begun = entry.moments.get("started")
        stage = f"started {relative(begun, at)}" if begun is not None else "queued"
        asked = "; a person wants it to stop" if entry.cancelled_by else ""
        lines.append(f"{entry.cycle_id} for {entry.trigger.get('type')}: {stage}{asked}")
    return lines


def _experiment(state: State) -> str:
    if "experiments" in state.unknown:
        return f"unknown: {state.unknown['experiments']}"
    shown = [
        f"{layer}: {holders[0]}{f', {len(holders) - 1} in line' if len(holders) > 1 else ''}"
        for layer, holders in state.experiments.items()
        if holders
    ]
    return "; ".join(shown) or "none open"


def _approvals(state: State) -> list[str]:
    if "approvals" in state.unknown:
        return [f"unknown: {state.unknown['approvals']}"]
    if not state.approvals_pending:
        return ["nothing waits"]
    return [f"{one}: `predator approve {one} --reason …`" for one in state.approvals_pending]


def _budget(state: State) -> str:
    if state.spend is None:
        return f"unknown: {state.unknown.get('limits', '')}"
    spend = state.spend
    return (
        f"${spend.charged_usd:.2f} spent and ${spend.reserved_usd:.2f} set aside "
        f"of ${state.budget_usd:.2f} this month"
    )

"""The screen on live traffic: drafted lists for some users, for a while, judged once."""

from __future__ import annotations

from typing import TypeGuard

from predator.domain.verdicts import Screening, Verdict
from predator.loop.experiment.result import unplanned
from predator.loop.experiment.screen import FRACTION, plan_screen
from predator.loop.experiment.timing import LONGEST_PAUSE_S
from predator.loop.experiment.view import RESULTS, SCREEN
from predator.loop.live import PATIENCE
from predator.loop.record import LAYER, CycleCancelled, Record
from predator.loop.stations import Stations
from predator.ports.runtime import Json
from predator.search.desired import INTERLEAVE, RunningExperiment


def run_screen(record: Record, stations: Stations, candidate: str, evaluated: Json) -> Json | None:
    """Interleave candidate and live release before the experiment; ``None`` where nobody asked.

    Starts and ends by a commit each. Where the searches declared do not come in half of the longest
    experiment's time, what came is judged.
    """
    ring, options = record.ring, record.options
    if options.interleaving_share <= 0:
        return None
    planned = record.step("plan", lambda: stations.plan_experiment(record, evaluated))
    if "unplanned" in planned:
        return None
    plan = plan_screen(planned["searches"], options.interleaving_share, options.alpha)
    name = f"screen-{record.cycle_id}"
    ring.progress.station(
        "screen", f"{plan.searches} searches of {plan.share:.0%} of the users, both lists in one"
    )
    trial = RunningExperiment(name, LAYER, candidate, plan.share, INTERLEAVE)
    revision = record.act(
        "start_screen",
        "start_experiment",
        lambda: ring.desired.set_experiment(
            trial, f"Start {name}", {"Cycle": record.cycle_id, "Step": "start-screen"}
        ),
        lambda made: {"gitops_revision": made, "searches": plan.searches},
        {"experiments_within_limit": True},
    )

    def begun() -> Json:
        ring.deployer.wait(str(revision), 30)
        return ring.clock.now()

    since = float(record.step("start_screen:applied", begun))
    _wait_for(record, stations, name, since, plan.searches)
    found = record.act(
        "screen",
        "evaluate",
        lambda: stations.screen(record, name, since, plan),
        lambda said: {"verdict": said["verdict"], "searches": said["searches"]},
    )
    record.act(
        "end_screen",
        "end_experiment",
        lambda: ring.desired.end_experiments(
            (name,), f"End {name}", {"Cycle": record.cycle_id, "Step": "end-screen"}
        ),
        lambda made: {"gitops_revision": made},
    )
    written = {"cycle_id": record.cycle_id, "release": candidate, **found}
    record.step("screen_results", lambda: record.write(SCREEN, written).name)
    ring.progress.note(f"{found['verdict']}: {found['reason']}")
    return written


def turned_away(found: Json | None) -> TypeGuard[Json]:
    """Whether a shadow or a screen said NO_GO; one that did not take place says nothing."""
    return found is not None and found["verdict"] == Screening.NO_GO


def screened_out(record: Record, candidate: str, why: str) -> Json:
    """The experiment's result where the candidate was turned away before it."""
    result = {
        **unplanned(f"turned away before the experiment: {why}").to_json(),
        "verdict": str(Verdict.FAIL),
        "searches": 0,
    }
    written = {
        "cycle_id": record.cycle_id,
        "release": candidate,
        "plan": None,
        "result": result,
        "verdict": str(Verdict.FAIL),
        "passed_gate": False,
    }
    record.step("ab_test_results", lambda: record.write(RESULTS, written).name)
    return written


def _wait_for(record: Record, stations: Stations, name: str, since: float, searches: int) -> None:
    ring, options = record.ring, record.options
    pause = max(min(1.0, options.poll_s), min(options.experiment_min_s / 200, LONGEST_PAUSE_S))
    most = options.experiment_max_s * FRACTION * PATIENCE
    turn = 0

    def look() -> Json:
        if (why := record.stopped("start_experiment")) is not None:
            raise CycleCancelled(f"the screen was stopped: {why}")
        if ring.desired.read().running(name) is None:
            raise CycleCancelled(f"{name} is not on users any more: somebody ended it")
        return stations.seen(record, name, since)

    while True:
        seen = record.step(f"screened:{turn}", look)
        ring.progress.work("searches in the screen", min(seen, searches), searches)
        if seen >= searches or turn * pause > most:
            return
        record.runtime.wait("wake", pause)
        turn += 1

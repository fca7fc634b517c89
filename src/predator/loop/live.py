"""The stations that take time on live traffic: the experiment and the watch."""

from __future__ import annotations

from functools import partial
from typing import Any

from predator.domain.errors import PredatorError
from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop.experiment.screen import FRACTION
from predator.loop.experiment.timing import LONGEST_PAUSE_S, look_until_clear
from predator.loop.record import LAYER, CycleCancelled, Record
from predator.loop.rollback import end_experiment
from predator.loop.stations import Stations
from predator.loop.watch.deciders import to_watch_plan
from predator.ports.deployer import Deployment
from predator.ports.runtime import Json
from predator.search.desired import LiveRelease, RunningExperiment

DAY = 86_400.0
LINE_POLL_S = 60.0
"""Who stands in line looks often at first, and then no more often than this."""

PATIENCE = 1.5
"""How much longer than it should last an experiment is waited for by those in line behind it."""


def stand_in_line(record: Record, effect: str, *, training: bool = False) -> None:
    """Wait until this cycle may touch its target's users, or train: so many at a time, in turn.

    Left (``CycleCancelled``) once policy denies ``effect``. ``PredatorError`` where those ahead
    have had time enough to come to their ends: somebody has to look at what holds the place.
    """
    slots, options = record.ring.governance.slots, record.options
    target = record.trainings if training else record.target
    most = 1 if training else options.max_experiments
    turn_s = options.training_wall_s if training else _on_users_s(record)
    pause = options.poll_s
    longest_pause = (
        LINE_POLL_S
        if training
        else max(LINE_POLL_S, min(options.experiment_min_s / 200, LONGEST_PAUSE_S))
    )
    turn, waited, longest = 0, 0.0, 0.0

    def claim() -> Json:
        if (why := record.stopped(effect)) is not None:
            raise CycleCancelled(f"left the queue for {target}: {why}")
        held = slots.claim(target, record.cycle_id, most)
        if record.has_ended():
            record.leave(target)
            raise CycleCancelled(f"left the queue for {target}: the cycle has ended")
        line = list(slots.holders(target))
        return {"held": held, "ahead": line[: line.index(record.cycle_id)]}

    while not (found := record.step(f"slot:{target}:{turn}", claim))["held"]:
        if turn == 0:
            record.ring.progress.note(f"another cycle is on {target}: standing in line")
            # A day more for each: a clock that is put back makes every wait longer.
            longest = PATIENCE * (turn_s + DAY) * len(found["ahead"])
        if waited > longest:
            raise PredatorError(
                f"no place came free on {target} in {waited:.0f} s: {found['ahead'][0]} holds it",
                cure="See what became of that cycle",
            )
        record.runtime.wait("slot", pause)
        turn, waited = turn + 1, waited + pause
        pause = max(pause, min(longest_pause, 1.1 * pause))


def _on_users_s(record: Record) -> float:
    """How long a cycle may be on users: screen, experiment, approval, and the longest watch."""
    options = record.options
    screen = FRACTION if options.interleaving_share > 0 else 0.0
    trials = PATIENCE * (1.0 + screen) * options.experiment_max_s
    watch = options.watch_extend_max * options.watch_looks * options.watch_look_s
    return trials + options.approval_expires_s + watch


def run_experiment(
    record: Record, stations: Stations, before: LiveRelease, candidate: str, evaluated: Json
) -> Json:
    """Plan, start by a commit, and look until it is clear, or until the longest time has passed.

    A PASS leaves the experiment open for the promotion to end in its own commit; every other
    verdict ends it. After an error the caller withdraws it (``rollback``). Where the traffic
    gives nothing to plan by, nothing is started: ERROR, without a plan.
    """
    ring, options = record.ring, record.options
    planned = record.step("plan", lambda: stations.plan_experiment(record, evaluated))
    if "unplanned" in planned:
        return _written(record, candidate, None, planned["unplanned"])
    name = f"exp-{record.cycle_id}"
    ring.progress.station(
        "experiment",
        f"{1 - planned['share']:.0%}/{planned['share']:.0%}: {planned['searches']} searches of "
        f"{planned['users']} users show {planned['effect_rel']:+.1%} click-MRR with "
        f"{options.power:.0%} power, in about {planned['expected_s']:.0f} s "
        f"(the offline gain of {planned['expected_rel']:+.1%}: {planned['power_at_expected']:.0%})",
    )
    revision = record.act(
        "start_experiment",
        "start_experiment",
        lambda: _start(record, name, candidate, planned["share"]),
        lambda made: {"gitops_revision": made, "plan": planned},
        {"experiments_within_limit": True},
    )

    def begun() -> Json:
        ring.deployer.wait(str(revision), 30, partial(_preparing, record))
        record.mark("experiment_started")
        return ring.clock.now()

    since = float(record.step("start_experiment:applied", begun))
    releases = {"baseline": before.digest, "candidate": candidate}
    clear = look_until_clear(record, stations, name, since, planned, releases)

    def judged() -> Json:
        record.mark("experiment_ended")
        return clear

    result = record.act(
        "ab_test",
        "evaluate",
        judged,
        lambda found: {
            "verdict": found["verdict"],
            "passed_gate": found["verdict"] == Verdict.PASS,
            "searches": found["searches"],
            "outputs": ["ab_test_results.json"],
        },
    )
    if result["verdict"] != Verdict.PASS:
        end_experiment(record)
    return _written(record, candidate, planned, result)


def run_watch(
    record: Record,
    stations: Stations,
    old: LiveRelease,
    baseline: Json,
    *,
    permit: str = "end_watch",
) -> tuple[list[dict[str, Any]], str]:
    """Look at a release that has just replaced ``old`` until a decision or the last look.

    ``baseline``: what :meth:`Stations.watch_baseline` measured and planned before the change. Once
    policy denies ``permit``, or another release is live, the looking ends (``CycleCancelled``).
    Where the last planned look has too little to judge by, further ones wait for more.
    """
    ring, options = record.ring, record.options
    plan = to_watch_plan(baseline["plan"])
    since = float(record.step("watch:since", ring.clock.now))
    name = f"watch-{record.cycle_id}"
    ring.progress.station("watch", f"{old.version} beside it · {plan.told}")
    looks: list[dict[str, Any]] = []
    for number in range(1, plan.looks_max + 1):
        record.runtime.sleep(options.watch_look_s)
        found = record.step(
            f"look:{number}",
            partial(_look, record, stations, name, since, number, baseline, permit),
        )
        looks.append(found)
        ring.progress.note(f"look {number}: {found['decision']} · {found['reason']}")
        enough = number >= plan.looks and not found["too_few"]
        if found["decision"] != WatchDecision.HOLD or enough:
            break
    return looks, str(looks[-1]["decision"])


def still_live(record: Record) -> None:
    """``CycleCancelled`` where somebody has put another release in the place of this cycle's."""
    live = record.ring.desired.read().release
    if live.cycle != record.cycle_id:
        raise CycleCancelled(f"the watch was stopped: {live.version} went live meanwhile")


def end_watch(record: Record, kept: LiveRelease) -> None:
    """Everybody to the release that the watch keeps: the hold-back ends."""
    record.act(
        "end_watch",
        "end_watch",
        lambda: record.ring.desired.end_watch(
            f"Keep {kept.version}: end the hold-back",
            {"Cycle": record.cycle_id, "Step": "end-watch"},
        ),
        lambda revision: {"gitops_revision": revision},
    )


def _written(record: Record, candidate: str, planned: Json | None, result: Json) -> Json:
    written = {
        "cycle_id": record.cycle_id,
        "release": candidate,
        "plan": planned,
        "result": result,
        "verdict": result["verdict"],
        "passed_gate": result["verdict"] == Verdict.PASS,
    }
    record.step("ab_test_results", lambda: record.write("ab_test_results.json", written).name)
    record.ring.progress.note(f"{result['verdict']}: {result['reason']}")
    return written


def _look(
    record: Record,
    stations: Stations,
    name: str,
    since: float,
    number: int,
    baseline: Json,
    permit: str,
) -> Json:
    if (why := record.stopped(permit)) is not None:
        raise CycleCancelled(f"the watch was stopped: {why}")
    still_live(record)
    return stations.look(record, name, since, number, baseline)


def _preparing(record: Record, found: Deployment) -> None:
    """A candidate with another encoder waits for its vectors: show how far, and let a stop in."""
    if found.preparing is None:
        return
    if (why := record.stopped("start_experiment")) is not None:
        raise CycleCancelled(f"the experiment was stopped before its first search: {why}")
    done, total = found.preparing.done, found.preparing.total
    record.ring.progress.work("documents embedded anew", done, total)


def _start(record: Record, name: str, candidate: str, share: float) -> str:
    return record.ring.desired.set_experiment(
        RunningExperiment(name, LAYER, candidate, share),
        f"Start {name} at {share:.0%}",
        {"Cycle": record.cycle_id, "Step": "start-experiment"},
    )

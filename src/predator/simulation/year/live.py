"""What happens on users in the simulated year: experiment, promotion, watch, rollback, drill."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from predator.domain.errors import PolicyDenied, PredatorError
from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop.experiment.timing import look_times
from predator.loop.promote import Promotion
from predator.loop.watch.look import LATENCY_FACTOR
from predator.simulation.year import candidates
from predator.simulation.year.deciders import Judged, Trial, Watched
from predator.simulation.year.loop import DRILL, LOOP, NEEDED, OPERATOR, Loop
from predator.simulation.year.served import Served
from predator.simulation.year.tally import GoneLive, count
from predator.simulation.year.timeline import Flow
from predator.simulation.year.world import DAY_S, HOUR_S, Release

SEARCHES_DAY = 9_000
"""Searches a day of the users whom an experiment is measured on: a sample of the traffic."""
HISTORY_S, HISTORY_SEARCHES = 7 * DAY_S, 6_000
"""What an experiment is planned from, and the users' past that corrects it."""
DEFECT = 0.04
"""Share of promotions in which something breaks on the way to the users."""
STOPPED = "the watch was stopped"
HELD_S = 4 * HOUR_S
"""A person takes back within this time what the watch could not judge."""


def go_live(loop: Loop, cycle_id: str, made: Release, kind: str, judged: Judged) -> Flow[str]:
    """Experiment, promotion and watch of a candidate that passed the gate; the cycle's outcome."""
    before, fact = loop.live, loop.facts[cycle_id]
    try:
        result, reason = yield from _experiment(loop, cycle_id, made, judged)
    except PolicyDenied:
        count(loop.tally.experiments, "stopped")
        raise
    fact.experiment = str(result)
    count(loop.tally.experiments, str(result))
    if result is Verdict.ERROR:
        raise PredatorError(f"the experiment: {reason}")
    if result is not Verdict.PASS:
        loop.allow("end_experiment")
        return "success"
    evaluation = {"release": cycle_id, "verdict": str(judged.verdict), "reason": judged.reason}
    experiment = {"release": cycle_id, "verdict": str(result), "reason": reason}
    evidence = {"evaluation": str(judged.verdict), "experiment": str(result)}
    loop.need(*NEEDED)
    answer = yield from loop.permit(cycle_id, "promote", evidence, f"promote {cycle_id}")
    loop.need(*NEEDED)
    watched = _watched(loop, before)
    chain = (
        Promotion(cycle_id)
        .evaluated(cycle_id, judged.verdict, evaluation)
        .experimented(cycle_id, result, experiment)
        .allowed(cycle_id, answer.decision, answer.rule)
    )
    loop.versions += 1
    release = candidates.deployed(
        replace(made, name=f"v{loop.versions}.0"), loop.now, loop.rng("deploy", cycle_id), DEFECT
    )
    gone = _gone_live(loop, release, made, kind, judged.shrunken_rel, tuple(chain.trailers))
    loop.serve(release)
    yield from _watch(loop, cycle_id, watched, before, gone)
    if gone.decision == WatchDecision.KEEP:
        loop.tally.kept.append(release)
        return "success"
    return "rolled_back"


def drill(loop: Loop, cycle_id: str) -> Flow[None]:
    """Push a bad release in its turn; it has to be caught and undone."""
    slots = loop.governance.slots
    while not slots.claim(loop.target, cycle_id, loop.settings.max_experiments):
        yield HOUR_S
    yield from loop.up_again(NEEDED)
    good = loop.live
    try:
        watched = _watched(loop, good)
        loop.allow("drill", who=DRILL)
        bad = candidates.bad_release(good, cycle_id, loop.rng("drill", cycle_id))
        gone = _gone_live(loop, bad, bad, "drill", None, ())
        gone.drill = True
        loop.serve(bad)
        yield from _watch(loop, cycle_id, watched, good, gone)
        if not gone.rolled_back:  # the watch kept it: a drill ends all the same
            yield from _roll_back(loop, good, gone)
    except PredatorError as error:
        count(loop.tally.reasons, f"drill: {error}")
    slots.release(loop.target, cycle_id)


def _experiment(
    loop: Loop, cycle_id: str, made: Release, judged: Judged
) -> Flow[tuple[Verdict, str]]:
    """A candidate beside the live release, look by look, until there is a verdict."""
    settings, name = loop.settings, f"exp-{cycle_id}"
    loop.need("git", "deployer", "metrics", "policy_store")
    share = loop.governance.experiment_share(settings.experiment_share)
    history = _served(loop, "history", loop.live, HISTORY_S, HISTORY_SEARCHES)
    trial = loop.deciders.trial(history, judged, share, SEARCHES_DAY / DAY_S, made.cost_per_1k_usd)
    if trial is None:
        return Verdict.ERROR, "nothing to plan by"
    loop.allow("start_experiment", {"experiments_within_limit": True})
    loop.governance.cycles.mark(cycle_id, "experiment_started", loop.now)
    found = yield from _looks(loop, name, made, trial, share)
    loop.governance.cycles.mark(cycle_id, "experiment_ended", loop.now)
    return found


def _looks(
    loop: Loop, name: str, made: Release, trial: Trial, share: float
) -> Flow[tuple[Verdict, str]]:
    settings, began = loop.settings, loop.now
    arms = (loop.live, replace(made, novel_from=began))
    unread: Served | None = None
    times = look_times(settings)
    for number, at in enumerate(times, start=1):
        since = loop.now
        yield max(0.0, began + at - loop.now)
        _stopped(loop, since, "start_experiment")
        unread = loop.crowd.searches(
            name, arms, share, since, loop.now, round(SEARCHES_DAY * (loop.now - since) / DAY_S),
            loop.weather.campaign(since, loop.now),
        ).after(unread)  # fmt: skip
        last = number == len(times)
        if last:
            yield from loop.up_again(("metrics",))
        elif "metrics" in loop.weather.down(loop.now):
            continue  # what was served meanwhile is read at the next look
        found = trial.look(unread, loop.now - began, last=last)
        if found is not None:
            return found
        unread = None
    return Verdict.ERROR, "the last look came to no end"


def _watch(loop: Loop, cycle_id: str, watched: Watched, old: Release, gone: GoneLive) -> Flow[None]:
    """Look at what has just gone live, keep it or take it back, and say so in ``gone``."""
    settings, release = loop.settings, loop.live
    name = f"watch-{cycle_id}"
    seen: Served | None = None
    decision, why = WatchDecision.HOLD, "not looked at"
    for number in range(1, watched.looks_max + 1):
        since = loop.now
        yield settings.watch_look_s
        try:
            _stopped(loop, since, "drill" if gone.drill else "end_watch")
        except PolicyDenied as error:
            decision, why = WatchDecision.ROLL_BACK, f"{STOPPED}: {error}"
            break
        served = loop.crowd.searches(
            name, (release, old), watched.share, since, loop.now, _traffic(loop, since)
        )
        if "metrics" not in loop.weather.down(loop.now):
            seen = served.in_window(number).after(seen)
        decision, why, ends = watched.look(number, seen or served.none())
        if ends:
            break
    gone.decision, gone.why = str(decision), why
    if decision is WatchDecision.KEEP:
        loop.allow("end_watch")
        return
    gone.detected_s = loop.now - gone.at if decision is WatchDecision.ROLL_BACK else None
    if decision is WatchDecision.HOLD:
        loop.notify(f"{cycle_id}:held", f"{release.name} could not be judged", why)
        yield HELD_S
    yield from _roll_back(loop, old, gone)


def _roll_back(loop: Loop, good: Release, gone: GoneLive) -> Flow[None]:
    """Traffic first, then git: whatever is down is waited for, and people are told."""
    began = loop.now
    who = OPERATOR if gone.drill or gone.decision != WatchDecision.ROLL_BACK else LOOP
    loop.allow("rollback", {"rollback_target_healthy": True}, who)
    yield from loop.up_again(("deployer",))
    yield float(loop.rng("rollback", gone.cycle).uniform(0.5, 3.0))
    loop.serve(good)
    gone.restored_s = loop.now - began
    loop.notify(f"{gone.cycle}:rolled_back", f"{gone.version} was rolled back", gone.why)
    yield from loop.up_again(("git",))


def _stopped(loop: Loop, since: float, effect: str) -> None:
    """``PolicyDenied`` where policy was not readable, or said no, at any moment since then."""
    at = since
    while at <= loop.now:
        if "policy_store" in loop.weather.down(at):
            raise PolicyDenied("kill-switch: flags could not be read")
        at += 300.0
    who = DRILL if effect == "drill" else LOOP
    loop.allow(effect, {"experiments_within_limit": True}, who)


def _watched(loop: Loop, before: Release) -> Watched:
    """The watch's baseline, taken before the change."""
    found = loop.deciders.watched(
        _served(loop, "before", before, 2 * HOUR_S, 4_000), _traffic(loop, loop.now)
    )
    if found is None:
        raise PredatorError("there was nothing to watch by")
    return found


def _traffic(loop: Loop, since: float) -> int:
    """Searches until the next look of a watch."""
    return round(loop.world.searches_per_h(since) * loop.settings.watch_look_s / HOUR_S)


def _served(loop: Loop, what: str, release: Release, length_s: float, most: int) -> Served:
    """Searches of the last ``length_s`` on one release, ``most`` at most."""
    since = loop.now - length_s
    count = min(most, round(loop.world.searches_per_h(since) * length_s / HOUR_S))
    return loop.crowd.searches(what, (release,), 0.0, since, loop.now, count)


def _gone_live(
    loop: Loop,
    release: Release,
    made: Release,
    kind: str,
    gain_rel: float | None,
    evidence: Sequence[str],
) -> GoneLive:
    before, at = loop.live, loop.now
    gone = GoneLive(
        at,
        release.cycle,
        release.name,
        kind,
        loop.world.truth(made, at) / loop.world.truth(before, at) - 1,
        loop.world.truth(release, at) / loop.world.truth(before, at) - 1,
        gain_rel,
        release.cost_per_1k_usd / before.cost_per_1k_usd - 1,
        release.latency_ms > LATENCY_FACTOR * before.latency_ms,
        evidence,
        tuple(loop.weather.down(at)),
    )
    loop.tally.gone_live.append(gone)
    return gone

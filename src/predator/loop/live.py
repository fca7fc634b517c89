"""The stations that take time on live traffic: the experiment and the watch."""

from __future__ import annotations

from typing import Any

from predator.domain.errors import PredatorError
from predator.domain.release import Release
from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop import watch
from predator.loop.experiment import Plan, Result, judge, plan, unplanned
from predator.loop.ring import Record
from predator.loop.rollback import end_experiment
from predator.ports.feedback import Impression
from predator.search.desired import LiveRelease, RunningExperiment

SETTLE_S = 1.5
"""Clicks come after searches: the newest searches are left out of every judgment."""


def run_experiment(
    record: Record, candidate: Release, expected_rel: float, at_least_rel: float
) -> tuple[Plan | None, Result]:
    """Plan, start by a commit, wait for the declared sample, judge once.

    A PASS leaves the experiment open for the promotion to end in its own commit; every other
    verdict ends it. After an error or an interrupt the caller withdraws it (``rollback``).
    Where the traffic gives nothing to plan by, nothing is started: ERROR, without a plan.
    """
    ring, options = record.ring, record.ring.options
    now = ring.clock.now()
    live = ring.desired.read().release.digest
    history = [
        impression
        for impression in ring.feedback.impressions(now - 30, now - SETTLE_S)
        if impression.release == live
    ]
    rate = len(history) / max(1.0, 30 - SETTLE_S)
    try:
        planned = plan(
            history,
            expected_rel,
            at_least_rel,
            share=options.experiment_share,
            alpha=options.alpha,
            power=options.power,
            searches_at_most=int(rate * options.experiment_max_s),
            searches_at_least=int(rate * options.experiment_min_s),
        )
    except ValueError as error:
        return None, unplanned(str(error))
    name = f"exp-{record.cycle_id}"
    ring.progress.station(
        "experiment",
        f"{1 - planned.share:.0%}/{planned.share:.0%}, {planned.searches} searches declared: "
        f"shows {planned.effect_rel:+.1%} click-MRR with {options.power:.0%} power "
        f"(the offline gain of {expected_rel:+.1%}: {planned.power_at_expected:.0%})",
    )
    record.act(
        "start_experiment",
        "start_experiment",
        lambda: _start(record, name, candidate, planned.share),
        lambda revision: {"gitops_revision": revision, "plan": planned.to_json()},
    )
    seen = _wait_for(record, name, planned, options.experiment_max_s * 1.5)
    result = record.act(
        "ab_test",
        "evaluate",
        lambda: judge(
            planned,
            seen,
            options.csat_min,
            options.power,
            {"baseline": live, "candidate": candidate.digest},
        ),
        lambda found: {
            "verdict": str(found.verdict),
            "passed_gate": found.verdict is Verdict.PASS,
            "searches": len(seen),
            "outputs": ["ab_test_results.json"],
        },
    )
    if result.verdict is not Verdict.PASS:
        end_experiment(record)
    return planned, result


def watch_baseline(record: Record, old: LiveRelease) -> watch.Before:
    """What the old release served in the newest minute: taken *before* it is replaced.

    Raises ``PredatorError`` where that is nothing to compare with.
    """
    now = record.ring.clock.now()
    served = record.ring.feedback.impressions(now - 60, now - SETTLE_S)
    try:
        return watch.before([i for i in served if i.release == old.digest])
    except ValueError as error:
        raise PredatorError(
            f"a release that replaced {old.version} could not be watched: {error}"
        ) from error


def run_watch(
    record: Record, old: LiveRelease, baseline: watch.Before
) -> tuple[list[dict[str, Any]], WatchDecision]:
    """Look at a release that has just replaced ``old`` until a decision or the last look."""
    ring, options = record.ring, record.ring.options
    since = ring.clock.now()
    name = f"watch-{record.cycle_id}"
    ring.progress.station(
        "watch",
        f"{options.watch_looks} looks, {options.watch_look_s:g} s apart, "
        f"{options.holdback_share:.0%} held back on {old.version}",
    )
    looks: list[dict[str, Any]] = []
    decision = WatchDecision.HOLD
    for number in range(1, options.watch_looks + 1):
        ring.clock.sleep(options.watch_look_s)
        seen = ring.feedback.impressions(since, ring.clock.now() - SETTLE_S, name)
        found = watch.look(
            number,
            options.watch_looks,
            baseline,
            [i for i in seen if i.variant == "live"],
            [i for i in seen if i.variant == "holdback"],
            gross_drop_rel=options.gross_drop_rel,
            alpha=options.alpha,
        )
        looks.append({**found.to_json(), "at": ring.clock.now()})
        record.journal.append({"type": "look", "look": found.to_json()})
        ring.progress.note(f"look {number}: {found.decision} · {found.reason}")
        decision = found.decision
        if decision is not WatchDecision.HOLD:
            break
    return looks, decision


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


def _start(record: Record, name: str, candidate: Release, share: float) -> str:
    revision = record.ring.desired.set_experiment(
        RunningExperiment(name, "ranking", candidate.digest, share),
        f"Start {name} at {share:.0%}",
        {"Cycle": record.cycle_id, "Step": "start-experiment"},
    )
    record.ring.deployer.wait(revision, 30)
    return revision


def _wait_for(record: Record, name: str, planned: Plan, at_most_s: float) -> list[Impression]:
    ring = record.ring
    started = ring.clock.now()
    while True:
        now = ring.clock.now()
        seen = list(ring.feedback.impressions(started - 1, now - SETTLE_S, name))
        ring.progress.work(
            "searches in the experiment", min(len(seen), planned.searches), planned.searches
        )
        if len(seen) >= planned.searches or now - started > at_most_s:
            return seen[: planned.searches]
        ring.clock.sleep(1.0)

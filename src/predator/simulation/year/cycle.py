"""One turn of the ring in the simulated year, up to the offline verdict, as the real flow walks."""

from __future__ import annotations

import numpy as np

from predator.domain.errors import PolicyDenied, PredatorError
from predator.domain.verdicts import Verdict
from predator.loop.diagnose import Evidence, JudgedSearch, diagnose
from predator.loop.evaluate import Measured
from predator.simulation.year import candidates
from predator.simulation.year.deciders import Judged
from predator.simulation.year.live import go_live
from predator.simulation.year.loop import Fact, Loop
from predator.simulation.year.tally import count
from predator.simulation.year.timeline import Flow
from predator.simulation.year.world import HOUR_S, TOPICS, Release
from predator.statistics.divergence import Shift
from predator.statistics.ledger import Kind

TRAINING_S = 1_500.0
"""Median of a training; one in a hundred comes near the limit."""
CRASH, OUT_OF_MEMORY = 0.03, 0.015
COST_USD = (0.4, 0.9)
JUDGED = 200
"""Judged searches that a diagnosis looks at."""
GOLD_ROW = "gold"


def turn(loop: Loop, cycle_id: str, trigger: str) -> Flow[None]:
    """Walk the ring once; whatever happens, the cycle ends in the register."""
    loop.facts[cycle_id] = Fact()
    try:
        outcome = yield from _turn(loop, cycle_id, trigger)
    except PolicyDenied as error:
        outcome = "denied"
        count(loop.tally.reasons, str(error).partition(":")[0])
    except PredatorError as error:
        outcome = "error"
        count(loop.tally.reasons, str(error))
    governance = loop.governance
    for target in (loop.target, _training(loop)):
        governance.slots.release(target, cycle_id)
    governance.limits.settle(cycle_id)
    governance.cycles.mark(cycle_id, "ended", loop.now)
    governance.cycles.finish(cycle_id, outcome, loop.now)


def _turn(loop: Loop, cycle_id: str, trigger: str) -> Flow[str]:
    governance, rng = loop.governance, loop.rng("turn", cycle_id)
    governance.cycles.mark(cycle_id, "started", loop.now)
    yield float(rng.uniform(30, 300))
    loop.need("git", "policy_store")
    loop.allow("begin_cycle", {**_limits(loop, cycle_id), "trigger": trigger})
    governance.cycles.mark(cycle_id, "first_action", loop.now)
    loop.need("metrics")
    loop.allow("diagnose")
    count(loop.tally.causes, _cause(loop, rng))
    yield 300.0
    loop.need("object_store")
    loop.allow("build_dataset")
    while not governance.slots.claim(_training(loop), cycle_id, 1):
        yield 600.0
    loop.allow("train")
    yield from _training_job(loop, rng)
    governance.slots.release(_training(loop), cycle_id)
    loop.need("object_store")
    against = loop.live
    made, kind = candidates.train(loop.world, against, cycle_id, loop.now, rng)
    governance.limits.charge(
        loop.settings.contour,
        f"{cycle_id}:train",
        cycle_id,
        loop.now,
        float(rng.uniform(*COST_USD)),
    )
    judged = yield from _evaluate(loop, cycle_id, made, against, 1)
    loop.need("mlflow")
    loop.allow("register_model")
    number = 1
    while judged.verdict is Verdict.PASS:
        while not governance.slots.claim(loop.target, cycle_id, loop.settings.max_experiments):
            yield HOUR_S
        if loop.live is against:
            return (yield from go_live(loop, cycle_id, made, kind, judged))
        number, against = number + 1, loop.live
        judged = yield from _evaluate(loop, cycle_id, made, against, number)
    return "success"


def _limits(loop: Loop, cycle_id: str) -> dict[str, bool]:
    """Count the cycle and set its money aside, as the loop's record does."""
    governance = loop.governance
    rules, limits = governance.rules, governance.limits
    return {
        "cycles_within_limit": limits.begin_cycle(
            rules.contour, cycle_id, loop.now, rules.max_cycles_per_day
        ),
        "budget_within_limit": limits.reserve(
            rules.contour, cycle_id, loop.now, rules.cycle_cost_usd, governance.budget_usd()
        ),
    }


def _training_job(loop: Loop, rng: np.random.Generator) -> Flow[None]:
    """A training takes its time, goes on once after a crash, and ends at its limits."""
    length_s = float(TRAINING_S * rng.lognormal(0.0, 0.35))
    if rng.random() < CRASH:
        yield length_s / 2
        if rng.random() < 0.3:
            raise PredatorError("the trainer crashed again after it was resumed")
    if rng.random() < OUT_OF_MEMORY:
        yield length_s / 3
        raise PredatorError("the trainer ran out of memory")
    yield min(length_s, loop.settings.training_wall_s)
    if length_s > loop.settings.training_wall_s:
        raise PredatorError("the trainer ran into its time limit")


def _evaluate(
    loop: Loop, cycle_id: str, made: Release, against: Release, number: int
) -> Flow[Judged]:
    """Spend a reading of Gold, judge, and settle it."""
    loop.need("object_store", "policy_store")
    loop.allow("evaluate")
    ledger, key = loop.governance.ledger, f"{cycle_id}:{number}"
    reading = ledger.reserve(GOLD_ROW, key, loop.now, kind=Kind.LOND, alpha=loop.settings.alpha)
    yield 600.0
    judged = loop.deciders.gate(
        loop.gold.scores(made, loop.now),
        loop.gold.scores(against, loop.now),
        loop.gold.categories,
        Measured(against.latency_ms, made.latency_ms, made.cost_per_1k_usd),
        reading,
    )
    ledger.settle(GOLD_ROW, key, loop.now, discovery=judged.verdict is Verdict.PASS)
    loop.governance.cycles.mark(cycle_id, "offline_verdict", loop.now)
    loop.facts[cycle_id].offline = str(judged.verdict)
    return judged


def _cause(loop: Loop, rng: np.random.Generator) -> str:
    """What the diagnosis names, from searches that the world lost."""
    world, live, at = loop.world, loop.live, loop.now
    topics = rng.choice(TOPICS, JUDGED, p=world.mix(at))
    lost = np.clip(1 - world.by_topic(live, at)[topics] + rng.normal(0, 0.2, JUDGED), 0.0, 1.0)
    moved = float(np.maximum(0.0, world.language(at) - live.known).mean())
    unknown = np.maximum(0.0, world.language(at) - live.known)[topics]
    novel = rng.random(JUDGED) < 1 - np.exp(-unknown)
    stages = rng.choice(["recall", "ranking"], JUDGED, p=[0.3, 0.7])
    found = diagnose(
        Evidence(
            signal=None,
            baseline_loss=1 - float(world.mix(at) @ live.skill),
            searches=[
                JudgedSearch(f"topic-{topic}", loss, stage, bool(new), ("new",) if new else ())
                for topic, loss, stage, new in zip(
                    topics.tolist(), lost.tolist(), stages.tolist(), novel.tolist(), strict=True
                )
            ],
            corpus_shift=Shift(moved / 4, 0.02, moved / 4 > 0.02),
            query_shift=Shift(moved / 6, 0.02, moved / 6 > 0.02),
            new_terms=(),
            term_coverage=1 - moved / 4,
            categories_before={},
            categories_now={},
            logs={},
            backlog_s=0.0,
            latency_p95_ms=live.latency_ms,
            feature_contributions={},
        )
    )
    return found.cause


def _training(loop: Loop) -> str:
    return f"{loop.settings.contour}/training"

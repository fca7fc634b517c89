"""What every kind of stations does at the watch: decide on the record what the traffic says."""

from __future__ import annotations

from dataclasses import replace

from predator.domain.errors import PredatorError
from predator.loop import deciders
from predator.loop.record import Record
from predator.loop.ring import Options
from predator.loop.watch.plan import WatchLimits
from predator.ports.runtime import Json


def watch_limits(options: Options) -> WatchLimits:
    """What the settings ask of a watch."""
    return WatchLimits(
        looks=options.watch_looks,
        look_s=options.watch_look_s,
        share=options.holdback_share,
        share_max=options.holdback_share_max,
        extend_max=options.watch_extend_max,
        tolerated_drop_rel=options.watch_drop_rel,
        gross_drop_rel=options.gross_drop_rel,
        alpha=options.alpha,
        latency_floor_ms=options.watch_latency_floor_ms,
        cpu_hour_usd=options.cpu_hour_usd,
        cost_per_1k_usd_max=options.cost_per_1k_usd_max,
    )


def planned(
    record: Record,
    old: Json,
    served: Json,
    searches_per_look: float,
    cost_per_1k_usd_max: float | None = None,
) -> Json:
    """``before`` and ``plan`` of a watch, from what ``old`` has served (``deciders.arm_inputs``).

    ``cost_per_1k_usd_max``: what people have set in the place of the setting. ``PredatorError``
    where there is nothing to watch by: then nothing is deployed.
    """
    found = record.decide(
        "watch_baseline", "watch_baseline", deciders.watch_baseline_inputs(served)
    )
    if "error" in found:
        raise _blind(old, found["error"])
    limits = watch_limits(record.options)
    if cost_per_1k_usd_max is not None:
        limits = replace(limits, cost_per_1k_usd_max=cost_per_1k_usd_max)
    plan = record.decide(
        "watch_plan",
        "watch_plan",
        deciders.watch_plan_inputs(deciders.to_watch_baseline(found), searches_per_look, limits),
    )
    if "error" in plan:
        raise _blind(old, plan["error"])
    return {"before": found, "plan": plan}


def looked(record: Record, number: int, baseline: Json, live: Json, held: Json) -> Json:
    """One look at both arms, decided and in the journal."""
    inputs = deciders.watch_look_inputs(
        number,
        deciders.to_watch_plan(baseline["plan"]),
        deciders.to_watch_baseline(baseline["before"]),
        live,
        held,
    )
    found = record.decide(f"look-{number}", "watch_look", inputs)
    record.journal.append_once(f"look:{number}", {"type": "look", "look": found})
    return {**found, "at": record.ring.clock.now()}


def _blind(old: Json, why: str) -> PredatorError:
    return PredatorError(f"a release that replaced {old['version']} could not be watched: {why}")

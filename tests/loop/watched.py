"""What a watch is given, made of made-up traffic: arms, baselines, plans."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from predator.loop import deciders
from predator.loop.watch.before import Arm, Before, before
from predator.loop.watch.plan import WatchLimits, WatchPlan, plan_watch
from predator.ports.feedback import Impression
from predator.ports.runtime import Json
from predator.statistics.click_model import reciprocal_rank_of_first_click

LIMITS: dict[str, Any] = {
    "looks": 6, "look_s": 1.0, "share": 0.2, "share_max": 0.2, "extend_max": 2,
    "tolerated_drop_rel": 0.9, "gross_drop_rel": 0.2, "alpha": 0.05,
}  # fmt: skip


def arm(
    impressions: Sequence[Impression],
    ndcg: Sequence[float] = (),
    failed: Sequence[Hashable] = (),
    window: Sequence[int] = (),
) -> Arm:
    """The columns of ``impressions``; the first ``len(ndcg)`` of them are judged."""
    users = [i.user for i in impressions]
    return Arm(
        users,
        [reciprocal_rank_of_first_click(i.clicks) for i in impressions],
        [i.latency_ms for i in impressions],
        window or [1] * len(users),
        users[: len(ndcg)],
        ndcg,
        failed,
    )


def limits(**changes: Any) -> WatchLimits:
    return WatchLimits(**{**LIMITS, **changes})


def planned(found: Before, per_look: float = 300, **changes: Any) -> WatchPlan:
    return plan_watch(found, per_look, limits(**changes))


def baseline(impressions: Sequence[Impression], ndcg: Sequence[float] = ()) -> Before:
    return before(arm(impressions, ndcg))


def look_inputs(
    number: int, history: Sequence[Impression], live: Sequence[Impression],
    held: Sequence[Impression], **changes: Any,
) -> Json:  # fmt: skip
    """A look as it is recorded."""
    found = baseline(history)
    return deciders.watch_look_inputs(
        number,
        planned(found, **changes),
        found,
        deciders.arm_inputs(live, {}, ()),
        deciders.arm_inputs(held, {}, ()),
    )

"""The deciders of the watch, from JSON to JSON: its baseline, its plan, its looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from predator.loop.plain import answer, plain, restore
from predator.loop.searches import columns
from predator.loop.watch import before as watch_before
from predator.loop.watch import look as watch
from predator.loop.watch import plan as watch_plan
from predator.ports.feedback import Failure, Impression
from predator.ports.runtime import Json
from predator.statistics.click_model import reciprocal_rank_of_first_click


def arm_inputs(
    impressions: Sequence[Impression],
    ndcg: Mapping[str, float],
    failures: Sequence[Failure],
    *,
    since: float = 0.0,
    look_s: float = 0.0,
) -> Json:
    """What one release served: what :class:`~predator.loop.watch.before.Arm` holds.

    ``ndcg``: NDCG@10 by ``query_id`` of the searches whose query is judged. Windows count
    ``look_s`` each from ``since`` (unix s); where ``look_s`` is 0 all is one window.
    """
    numbers: dict[str, int] = {}
    for one in impressions:
        numbers.setdefault(one.user, len(numbers))
    windows = [1 + int((i.at - since) // look_s) if look_s > 0.0 else 1 for i in impressions]
    judged = [
        (place, ndcg[i.query_id]) for place, i in enumerate(impressions) if i.query_id in ndcg
    ]
    return {
        "searches": columns(impressions, "user", "clicks", "latency_ms"),
        "window": windows,
        "judged": [place for place, _ in judged],
        "ndcg": plain([value for _, value in judged], "NDCG@10"),
        "failed": [numbers.setdefault(one.user, len(numbers)) for one in failures],
    }


def watch_baseline_inputs(served: Json) -> Json:
    """What :func:`predator.loop.watch.before.before` looks at (see :func:`arm_inputs`)."""
    return {"served": served}


def decide_watch_baseline(inputs: Json) -> Json:
    try:
        found = watch_before.before(_arm(inputs["served"]))
    except ValueError as error:
        return {"error": str(error)}
    return answer(found)


def to_watch_baseline(output: Json) -> watch_before.Before:
    """Raises ``ValueError`` where there is nothing to compare with, as the decider does."""
    if "error" in output:
        raise ValueError(output["error"])
    return restore(watch_before.Before, output)


def watch_plan_inputs(
    before: watch_before.Before, searches_per_look: float, limits: watch_plan.WatchLimits
) -> Json:
    """What :func:`predator.loop.watch.plan.plan_watch` looks at."""
    given = {"before": before, "searches_per_look": searches_per_look, "limits": limits}
    found: Json = plain(given, "the plan of the watch")
    return found


def decide_watch_plan(inputs: Json) -> Json:
    try:
        found = watch_plan.plan_watch(
            restore(watch_before.Before, inputs["before"]),
            inputs["searches_per_look"],
            restore(watch_plan.WatchLimits, inputs["limits"]),
        )
    except ValueError as error:
        return {"error": str(error)}
    return answer(found)


def to_watch_plan(output: Json) -> watch_plan.WatchPlan:
    """Raises ``ValueError`` where no watch could be planned, as the decider does."""
    if "error" in output:
        raise ValueError(output["error"])
    return restore(watch_plan.WatchPlan, output)


def watch_look_inputs(
    number: int,
    plan: watch_plan.WatchPlan,
    before: watch_before.Before,
    live: Json,
    held: Json,
) -> Json:
    """What :func:`predator.loop.watch.look` looks at; both arms as :func:`arm_inputs` has them."""
    return {
        "number": number,
        "plan": plain(plan, "the plan"),
        "before": plain(before, "the baseline"),
        "live": live,
        "held": held,
    }


def decide_watch_look(inputs: Json) -> Json:
    return answer(
        watch.look(
            inputs["number"],
            restore(watch_plan.WatchPlan, inputs["plan"]),
            restore(watch_before.Before, inputs["before"]),
            _arm(inputs["live"]),
            _arm(inputs["held"]),
        )
    )


def to_watch_look(output: Json) -> watch.Look:
    return restore(watch.Look, output)


def _arm(value: Json) -> watch_before.Arm:
    searches = value["searches"]
    users = searches["user"]
    return watch_before.Arm(
        users=users,
        click_mrr=[reciprocal_rank_of_first_click(clicks) for clicks in searches["clicks"]],
        latency_ms=searches["latency_ms"],
        window=value["window"],
        judged_users=[users[place] for place in value["judged"]],
        ndcg=value["ndcg"],
        failed_users=value["failed"],
    )

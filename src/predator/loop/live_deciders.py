"""The deciders that judge live traffic, from JSON to JSON: experiment and watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from predator.loop import experiment, watch
from predator.loop.plain import answer, plain, restore
from predator.loop.searches import columns, searches
from predator.ports.feedback import Impression
from predator.ports.runtime import Json


def plan_experiment_inputs(
    history: Sequence[Impression],
    expected_rel: float,
    at_least_rel: float,
    *,
    share: float,
    alpha: float,
    power: float,
    searches_at_most: int,
    searches_at_least: int,
) -> Json:
    """What :func:`predator.loop.experiment.plan` looks at."""
    given = {
        "expected_rel": expected_rel,
        "at_least_rel": at_least_rel,
        "share": share,
        "alpha": alpha,
        "power": power,
        "searches_at_most": searches_at_most,
        "searches_at_least": searches_at_least,
    }
    return {"history": columns(history, "clicks"), **plain(given, "the plan")}


def decide_plan_experiment(inputs: Json) -> Json:
    given = {name: value for name, value in inputs.items() if name != "history"}
    try:
        planned = experiment.plan(searches(inputs["history"]), **given)
    except ValueError as error:
        return {"error": str(error)}
    return answer(planned)


def to_plan_experiment(output: Json) -> experiment.Plan:
    """Raises ``ValueError`` where nothing could be planned, as the decider itself does."""
    _check(output)
    return restore(experiment.Plan, output)


def judge_experiment_inputs(
    planned: experiment.Plan,
    impressions: Sequence[Impression],
    csat_min: float,
    power: float,
    releases: Mapping[str, str] | None = None,
) -> Json:
    """What :func:`predator.loop.experiment.judge` looks at."""
    return {
        "plan": plain(planned, "the plan"),
        "impressions": columns(
            impressions, "user", "variant", "release", "clicks", "rating", "latency_ms"
        ),
        "csat_min": plain(csat_min, "csat_min"),
        "power": plain(power, "power"),
        "releases": plain(releases),
    }


def decide_judge_experiment(inputs: Json) -> Json:
    found = experiment.judge(
        restore(experiment.Plan, inputs["plan"]),
        searches(inputs["impressions"]),
        inputs["csat_min"],
        inputs["power"],
        inputs["releases"],
    )
    return answer(found)


def to_judge_experiment(output: Json) -> experiment.Result:
    return restore(experiment.Result, output)


def watch_baseline_inputs(impressions: Sequence[Impression]) -> Json:
    """What :func:`predator.loop.watch.before` looks at."""
    return {"impressions": columns(impressions, "clicks", "latency_ms")}


def decide_watch_baseline(inputs: Json) -> Json:
    try:
        found = watch.before(searches(inputs["impressions"]))
    except ValueError as error:
        return {"error": str(error)}
    return answer(found)


def to_watch_baseline(output: Json) -> watch.Before:
    """Raises ``ValueError`` where there is nothing to compare with, as the decider does."""
    _check(output)
    return restore(watch.Before, output)


def watch_look_inputs(
    number: int,
    looks: int,
    baseline: watch.Before,
    live: Sequence[Impression],
    held: Sequence[Impression],
    *,
    gross_drop_rel: float,
    alpha: float,
) -> Json:
    """What :func:`predator.loop.watch.look` looks at."""
    return {
        "number": number,
        "looks": looks,
        "baseline": plain(baseline, "the baseline"),
        "live": columns(live, "user", "clicks", "latency_ms"),
        "held": columns(held, "user", "clicks", "latency_ms"),
        "gross_drop_rel": plain(gross_drop_rel, "gross_drop_rel"),
        "alpha": plain(alpha, "alpha"),
    }


def decide_watch_look(inputs: Json) -> Json:
    found = watch.look(
        inputs["number"],
        inputs["looks"],
        restore(watch.Before, inputs["baseline"]),
        searches(inputs["live"]),
        searches(inputs["held"]),
        gross_drop_rel=inputs["gross_drop_rel"],
        alpha=inputs["alpha"],
    )
    return answer(found)


def to_watch_look(output: Json) -> watch.Look:
    return restore(watch.Look, output)


def _check(output: Json) -> None:
    if "error" in output:
        raise ValueError(output["error"])

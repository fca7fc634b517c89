"""The deciders of the experiment, from JSON to JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from predator.loop.experiment import look as experiment
from predator.loop.experiment import plan as experiment_plan
from predator.loop.experiment.evidence import ARMS, Evidence, Limits, gather
from predator.loop.experiment.result import Point, Result, unplanned
from predator.loop.plain import answer, plain, restore
from predator.loop.searches import columns, searches
from predator.ports.feedback import Failure, Impression
from predator.ports.runtime import Json


@dataclass(frozen=True, slots=True)
class Occasion:
    """When a look is taken: its number from 1, the time since the start, whether it is the last
    one, what the looks before it saw, and how long the experiment may still run."""

    number: int
    elapsed_s: float
    last: bool
    looks: Sequence[Point] = ()
    left_s: float | None = None


def plan_experiment_inputs(
    history: Sequence[Impression],
    expected_rel: float,
    at_least_rel: float,
    *,
    share: float,
    alpha: float,
    power: float,
    rate_per_s: float,
    min_s: float,
    max_s: float,
) -> Json:
    """What :func:`predator.loop.experiment.plan.plan` looks at."""
    given = {
        "expected_rel": expected_rel,
        "at_least_rel": at_least_rel,
        "share": share,
        "alpha": alpha,
        "power": power,
        "rate_per_s": rate_per_s,
        "min_s": min_s,
        "max_s": max_s,
    }
    return {"history": columns(history, "user", "clicks"), **plain(given, "the plan")}


def decide_plan_experiment(inputs: Json) -> Json:
    given = {name: value for name, value in inputs.items() if name != "history"}
    try:
        planned = experiment_plan.plan(searches(inputs["history"]), **given)
    except ValueError as error:
        return {"error": str(error)}
    return answer(planned)


def to_plan_experiment(output: Json) -> experiment_plan.Plan:
    """Raises ``ValueError`` where nothing could be planned, as the decider itself does."""
    if "error" in output:
        raise ValueError(output["error"])
    return restore(experiment_plan.Plan, output)


def judge_experiment_inputs(
    planned: experiment_plan.Plan,
    impressions: Sequence[Impression],
    limits: Limits,
    occasion: Occasion,
    *,
    before: Mapping[str, float] | None = None,
    releases: Mapping[str, str] | None = None,
    cost_per_1k_usd: float | None = None,
    failures: Sequence[Failure] = (),
) -> Json:
    """All searches of an experiment, and what else its look is taken by.

    ``before``: what users were like before the start (:func:`experiment_evidence.gather`).
    """
    numbers: dict[str, int] = {}
    for user in (*(i.user for i in impressions), *(f.user for f in failures)):
        numbers.setdefault(user, len(numbers))
    users = dict.fromkeys(impression.user for impression in impressions)
    return {
        **_asked(planned, limits, occasion),
        "impressions": columns(
            impressions,
            "user", "variant", "release", "clicks", "documents", "rating", "latency_ms", "at",
        ),
        "before": plain([before.get(user) for user in users], "a user's past") if before else None,
        "releases": plain(releases),
        "cost_per_1k_usd": plain(cost_per_1k_usd, "the cost"),
        "failed": {
            arm: [f"u{numbers[one.user]}" for one in failures if one.variant == arm] for arm in ARMS
        },
    }  # fmt: skip


def look_experiment_inputs(judged: Json) -> Json:
    """The same look by sums alone: what a look that ends nothing keeps.

    ``judged`` as :func:`judge_experiment_inputs` gives it. Raises ``ValueError`` for clicks that
    cannot be.
    """
    asked = {name: judged[name] for name in ("plan", "limits", "occasion")}
    return {**asked, "evidence": plain(_gathered(judged), "the evidence")}


def decide_judge_experiment(inputs: Json) -> Json:
    try:
        seen = _gathered(inputs)
    except ValueError as error:
        return answer(unplanned(f"click-MRR: {error}"))
    return _decide(inputs, seen)


def decide_look_experiment(inputs: Json) -> Json:
    return _decide(inputs, restore(Evidence, inputs["evidence"]))


def to_occasion(value: Json) -> Occasion:
    return restore(Occasion, value)


def to_judge_experiment(output: Json) -> Result:
    return restore(Result, output)


def _asked(planned: experiment_plan.Plan, limits: Limits, occasion: Occasion) -> dict[str, Any]:
    return {
        "plan": plain(planned, "the plan"),
        "limits": plain(limits, "the limits"),
        "occasion": plain(occasion, "the look"),
    }


def _gathered(inputs: Json) -> Evidence:
    past = inputs["before"]
    return gather(
        searches(inputs["impressions"]),
        restore(Limits, inputs["limits"]),
        before=None if past is None else {
            f"u{number}": mean for number, mean in enumerate(past) if mean is not None
        },
        centre=inputs["plan"]["baseline_mean"],
        releases=inputs["releases"],
        cost_per_1k_usd=inputs["cost_per_1k_usd"],
        failed=inputs["failed"],
    )  # fmt: skip


def _decide(inputs: Json, seen: Evidence) -> Json:
    occasion = restore(Occasion, inputs["occasion"])
    found = experiment.look(
        restore(experiment_plan.Plan, inputs["plan"]),
        seen,
        restore(Limits, inputs["limits"]),
        number=occasion.number,
        elapsed_s=occasion.elapsed_s,
        last=occasion.last,
        looks=occasion.looks,
        left_s=occasion.left_s,
    )
    return answer(found)

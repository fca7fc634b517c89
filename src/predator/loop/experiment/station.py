"""What every kind of stations does at the experiment: decide on the record what users did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from predator.loop import deciders
from predator.loop.experiment.evidence import Limits
from predator.loop.experiment.metrics import PRIMARY, value_of
from predator.loop.experiment.result import unplanned
from predator.loop.record import Record
from predator.ports.feedback import Failure, Impression
from predator.ports.runtime import Json
from predator.statistics.covariate import means_by_user

JUDGED = "judge_experiment"
"""The look that ends an experiment, of which there is one."""


def planned(
    record: Record,
    history: Sequence[Impression],
    expected_rel: float,
    at_least_rel: float,
    rate_per_s: float,
) -> Json:
    """The plan, or ``{"unplanned": result}`` where the history gives nothing to plan by."""
    options = record.options
    inputs = deciders.plan_experiment_inputs(
        history,
        expected_rel,
        at_least_rel,
        share=record.ring.governance.experiment_share(options.experiment_share),
        alpha=options.alpha,
        power=options.power,
        rate_per_s=rate_per_s,
        min_s=options.experiment_min_s,
        max_s=options.experiment_max_s,
    )
    found = record.decide("plan_experiment", "plan_experiment", inputs)
    return {"unplanned": unplanned(found["error"]).to_json()} if "error" in found else found


def looked(
    record: Record,
    plan: Json,
    seen: Sequence[Impression],
    occasion: Json,
    releases: Json,
    *,
    before: Mapping[str, float] | None = None,
    csat_min: float | None = None,
    cost_per_1k_usd: float | None = None,
    failures: Sequence[Failure] = (),
) -> Json:
    """One look, decided and in the journal: with all searches where it ends the experiment, else
    with their sums. ``csat_min`` in the place of the setting; ``occasion`` as ``Occasion``."""
    options = record.options
    inputs = deciders.judge_experiment_inputs(
        deciders.to_plan_experiment(plan),
        seen,
        Limits(
            options.csat_min if csat_min is None else csat_min,
            options.latency_delta_rel_max,
            options.latency_floor_ms,
            options.cost_per_1k_usd_max,
        ),
        deciders.to_occasion(occasion),
        before=before,
        releases=releases,
        cost_per_1k_usd=cost_per_1k_usd,
        failures=failures,
    )
    key, kept = f"experiment_look-{occasion['number']}", record.journal.find
    # A look that is taken again after a crash has more searches, and decides the same all the same.
    if kept(key) is None and (
        kept(JUDGED) is not None or deciders.DECIDERS[JUDGED](inputs)["ended"]
    ):
        return record.decide(JUDGED, JUDGED, inputs)
    return record.decide(key, "look_experiment", deciders.look_experiment_inputs(inputs))


def past_of(history: Sequence[Impression]) -> Mapping[str, float]:
    """What users were like before the start: the mean of the registered metric by user."""
    values = [value_of(PRIMARY, impression) for impression in history]
    means = means_by_user([impression.user for impression in history], values)
    return {str(user): mean for user, mean in means.items()}

"""Station 6, before the start: what is measured, for how long, and what that can show.

Nothing of it changes once users are in: the metric, its registered gain, the level and the longest
duration are what makes the evidence mean what it says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from predator.loop.experiment.metrics import METRICS, PRIMARY, Registered, value_of
from predator.ports.feedback import Impression
from predator.statistics.covariate import covariate
from predator.statistics.design_effect import clustering
from predator.statistics.evidence import (
    chance_of_evidence,
    evidence_size,
    evident_effect,
    information_needed,
)

LEAST_HISTORY = 30
"""Fewer recent searches say nothing of the traffic to come."""
LEAST_EFFECT_REL = 1e-3
LEAST_RHO = 0.1
"""A covariate that explains less than a hundredth of the variance is not worth its slope."""


@dataclass(frozen=True, slots=True)
class Cuped:
    """Whether users' means before the start correct the experiment's (see ``covariate``).

    ``variance_reduction`` is what is expected of the users who were there before; ``users``: how
    many of the history it was measured on.
    """

    used: bool = False
    rho: float | None = None
    variance_reduction: float = 0.0
    users: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Declared before the start.

    ``effect_rel`` is the registered gain, which the evidence is tuned to; ``searches`` (both arms)
    and ``users`` show it with the wanted power at the threshold ``evidence`` = 1/``alpha``, with
    the ``design_effect`` of that many searches by these users. ``limited``: the longest duration
    brings fewer searches than the gain of the offline gate asks for, and a larger one was
    registered. ``power_at_expected`` is what the longest duration gives the offline estimate
    ``expected_rel``. Times in seconds.
    """

    metric: str
    metrics: Sequence[Registered]
    share: float
    alpha: float
    evidence: float
    searches: int
    users: int
    searches_per_user: float
    icc: float
    design_effect: float
    effect_rel: float
    expected_rel: float
    power_at_expected: float
    baseline_mean: float
    sd: float
    limited: bool
    min_s: float
    max_s: float
    expected_s: float
    cuped: Cuped

    @property
    def effect_abs(self) -> float:
        """The registered gain in the unit of the metric."""
        return self.effect_rel * self.baseline_mean

    @property
    def planned_variance(self) -> float:
        """The variance of the relative difference that the declared sample comes to."""
        return self.effect_rel**2 / information_needed(0.8, threshold=self.evidence)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def plan(
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
) -> Plan:
    """Size an experiment from recent traffic (oldest first) and what the offline gate showed.

    Registers ``at_least_rel``, the lower bound of the offline gain (an estimate that was chosen for
    being high is too high), or the smallest gain that ``max_s`` seconds of ``rate_per_s`` searches
    can show, where that is larger. Raises ``ValueError`` without usable history.
    """
    values = [value_of(PRIMARY, impression) for impression in history]
    if len(values) < LEAST_HISTORY:
        raise ValueError(f"{len(values)} recent searches are too few to plan an experiment")
    mean = math.fsum(values) / len(values)
    sd = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1))
    if mean <= 0 or sd <= 0:
        raise ValueError("recent searches have no clicks to measure a gain by")
    who = [impression.user for impression in history]
    crowd, past = clustering(who, values), covariate(who, values)
    used = past.rho is not None and past.rho >= LEAST_RHO
    cuped = Cuped(used, past.rho, past.variance_reduction if used else 0.0, past.users)
    left = sd * math.sqrt(1.0 - cuped.variance_reduction)
    threshold, most = 1.0 / alpha, max(2.0, rate_per_s * max_s)
    weight = most / crowd.design_effect(most)
    possible = evident_effect(weight, left, share, power=power, threshold=threshold) / mean
    wanted = max(at_least_rel, LEAST_EFFECT_REL)
    effect = max(wanted, possible)
    alone = evidence_size(left, effect * mean, share, power=power, threshold=threshold)
    searches = math.ceil(min(crowd.searches_for(alone), most))
    users = crowd.users_for(searches)
    needed = information_needed(power, threshold=threshold)
    # Where the true gain is g times the registered one, ln E drifts (2g - 1) times as fast.
    pace = 2.0 * expected_rel / effect - 1.0
    return Plan(
        metric=PRIMARY,
        metrics=METRICS,
        share=share,
        alpha=alpha,
        evidence=threshold,
        searches=searches,
        users=math.ceil(users),
        searches_per_user=searches / users,
        icc=crowd.icc,
        design_effect=crowd.design_effect(searches),
        effect_rel=effect,
        expected_rel=expected_rel,
        power_at_expected=chance_of_evidence(
            needed * (effect / possible) ** 2, threshold=threshold, pace=pace
        ),
        baseline_mean=mean,
        sd=sd,
        limited=wanted < possible,
        min_s=min_s,
        max_s=max_s,
        expected_s=max(min_s, min(searches / rate_per_s, max_s)) if rate_per_s > 0 else max_s,
        cuped=cuped,
    )

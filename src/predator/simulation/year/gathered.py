"""What a look at an experiment decides on, summed up by columns: ``experiment_evidence.gather``,
many times as fast. A test holds the two equal."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from predator.loop.experiment.evidence import (
    ARMS,
    VARIED_SEARCHES,
    ArmEvidence,
    Evidence,
    Limits,
    slow_limit_ms,
)
from predator.loop.experiment.metrics import PRIMARY
from predator.simulation.year.identities import alike, suspects
from predator.simulation.year.served import NO_CLICK, PAGES, Served
from predator.simulation.year.world import Floats
from predator.statistics.click_model import debiased_click_dcg
from predator.statistics.cluster_moments import Moments, moments

_CLICKS: list[tuple[int, ...]] = [*((place + 1,) for place in range(NO_CLICK)), ()]
_CLICK_NDCG = np.array([debiased_click_dcg(clicks) for clicks in _CLICKS])


def past_of(history: Served, users: int) -> Floats:
    """The mean click-MRR of each of ``users`` users; NaN of whom ``history`` does not hold."""
    mine = history.user < users
    counts = np.bincount(history.user[mine], minlength=users)
    sums = np.bincount(history.user[mine], weights=history.click_mrr[mine], minlength=users)
    found: Floats = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return found


def gathered(
    served: Served, limits: Limits, before: Floats | None, centre: float, cost_per_1k_usd: float
) -> Evidence:
    """``before`` by user, as :func:`past_of` has it. Each user is in one arm, by its hash."""
    seen = served.answered()
    began = seen.at.min() if seen.at.size else 0.0
    at: Floats = np.round(seen.at - began, 3).astype(np.float64)
    documents = seen.topic * PAGES + (seen.page + seen.first) % PAGES
    flagged = suspects(seen, at, documents)
    people = ~np.isin(seen.user, list(flagged))
    middle = float(at.max(initial=0.0)) / 2
    values = {
        PRIMARY: seen.click_mrr,
        "click_ndcg": _CLICK_NDCG[seen.first],
        "success": (seen.first < NO_CLICK).astype(np.float64),
        "abandonment": ((seen.first == NO_CLICK) & (seen.stars == 0)).astype(np.float64),
    }
    varied = _varied(seen, people)
    limit = slow_limit_ms(_p95(seen.latency_ms[people & (seen.arm == 0)]), limits)
    arms = {}
    for number, arm in enumerate(ARMS):
        mine = people & (seen.arm == number)

        def sums(chosen: NDArray[np.bool_], metric: str, past: Floats | None = None) -> Moments:
            return moments(seen.user[chosen], values[metric][chosen], past, centre)

        stars = seen.stars[mine & (seen.stars > 0)].astype(np.float64)
        latency = seen.latency_ms[mine]
        arms[arm] = ArmEvidence(
            identities=int(np.unique(seen.user[seen.arm == number]).size),
            metrics={
                name: sums(mine, name, before if name == PRIMARY else None) for name in values
            },
            first=sums(mine & (at <= middle), PRIMARY),
            rest=sums(mine & (at > middle), PRIMARY),
            ratings=stars.size,
            rating_sum=float(stars.sum()),
            rating_sum_sq=float(stars @ stars),
            latencies=latency.size,
            latency_p95_ms=_p95(latency),
            slow=int((latency > limit).sum()) if limit is not None else 0,
            varied=sums(mine & varied, PRIMARY),
        )
    return Evidence(
        arms,
        seen.at.size,
        int(np.unique(seen.user).size),
        dict(Counter(str(why) for why in flagged.values())),
        cost_per_1k_usd=cost_per_1k_usd,
    )


def _varied(seen: Served, people: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The searches of people who searched often enough, and did not click alike every time."""
    counts = np.bincount(seen.user[people], minlength=int(seen.user.max(initial=0)) + 1)
    found: NDArray[np.bool_] = (counts >= VARIED_SEARCHES)[seen.user] & ~(
        alike(seen, counts)[seen.user]
    )
    return found


def _p95(values: Floats) -> float | None:
    ordered = np.sort(values)
    return float(ordered[min(ordered.size - 1, int(0.95 * ordered.size))]) if ordered.size else None

"""From the searches of an experiment to the sums that a look decides on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predator.loop.experiment.metrics import CLICK_METRICS, PRIMARY, value_of
from predator.loop.searches import clicked_documents, since_first
from predator.ports.feedback import Impression
from predator.statistics.cluster_moments import Moments, moments
from predator.statistics.fraud import suspects
from predator.statistics.watch_failures import allowed_share, failure_evidence

BASELINE, CANDIDATE = "baseline", "candidate"
ARMS = (BASELINE, CANDIDATE)
BOTH_ARMS = "both_arms"
"""Why an identity is left out that was answered by both arms: its users are not told apart."""
VARIED_SEARCHES = 4
"""Of a user with fewer searches it cannot be said whether all of them are alike."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the guards ask; see the settings of the gate."""

    csat_min: float
    latency_delta_rel_max: float
    latency_floor_ms: float
    cost_per_1k_usd_max: float


@dataclass(frozen=True, slots=True)
class ArmEvidence:
    """One arm, of people alone except for ``identities``, which counts everybody.

    ``metrics``: sums over users, by metric; ``first`` and ``rest``: those of the primary metric in
    the first half of the time and after; ``varied``: those of users with at least
    :data:`VARIED_SEARCHES` searches who did not click alike in all of them, ``None`` where nobody
    looked. ``slow``: searches that took longer than the limit that
    the baseline's p95 sets (:func:`slow_limit_ms`). ``failed``: searches that were not answered;
    ``failing``: evidence that they are more than the baseline's allow
    (:func:`~predator.statistics.watch_failures.failure_evidence`).
    """

    identities: int
    metrics: Mapping[str, Moments]
    first: Moments
    rest: Moments
    ratings: int = 0
    rating_sum: float = 0.0
    rating_sum_sq: float = 0.0
    latencies: int = 0
    latency_p95_ms: float | None = None
    slow: int = 0
    varied: Moments | None = None
    failed: int = 0
    failing: float = 1.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a look knows. ``searches`` and ``identities`` count what was seen, ``excluded`` the
    identities left out by reason; ``strangers``: searches that another release than the arm's
    answered. ``cost_per_1k_usd`` of the candidate, ``None`` where nobody measured it.
    """

    arms: Mapping[str, ArmEvidence]
    searches: int
    identities: int
    excluded: Mapping[str, int] = field(default_factory=dict)
    strangers: int = 0
    cost_per_1k_usd: float | None = None


def gather(
    impressions: Sequence[Impression],
    limits: Limits,
    *,
    before: Mapping[str, float] | None = None,
    centre: float = 0.0,
    releases: Mapping[str, str] | None = None,
    cost_per_1k_usd: float | None = None,
    failed: Mapping[str, Sequence[str]] | None = None,
) -> Evidence:
    """Sum up the impressions of one experiment, in any order.

    ``before`` holds the mean of the primary metric of users who were there before the start, and
    ``centre`` what most have. ``releases`` names the release that each arm must have had,
    ``failed`` the user of each search that was not answered, by arm. Raises ``ValueError`` for
    clicks and latencies that cannot be.
    """
    inside = [i for i in impressions if i.variant in ARMS]
    at = since_first(inside)
    numbers: dict[str, int] = {}
    who = [numbers.setdefault(i.user, len(numbers)) for i in inside]
    arms_of: dict[int, set[str]] = {}
    for user, impression in zip(who, inside, strict=True):
        arms_of.setdefault(user, set()).add(impression.variant)
    flagged: dict[int, str] = {user: BOTH_ARMS for user, arms in arms_of.items() if len(arms) > 1}
    for user, why in suspects(who, at, [i.clicks for i in inside], _documents(inside)).items():
        flagged.setdefault(user, str(why))
    past = np.full(len(numbers), np.nan)
    for name, mean in (before or {}).items():
        if name in numbers:
            past[numbers[name]] = mean
    people = [n for n, user in enumerate(who) if user not in flagged]
    middle = max(at, default=0.0) / 2
    varied = _varied(inside, who, people)
    rows = {arm: [n for n in people if inside[n].variant == arm] for arm in ARMS}
    limit = slow_limit_ms(_p95([inside[n].latency_ms for n in rows[BASELINE]]), limits)
    lost = {arm: (failed or {}).get(arm, ()) for arm in ARMS}
    answered = {arm: [inside[n].user for n in rows[arm]] for arm in ARMS}
    allowed = allowed_share(0.0, answered[BASELINE], lost[BASELINE])
    arms = {}
    for arm in ARMS:
        mine = rows[arm]

        def sums(
            chosen: Sequence[int], metric: str = PRIMARY, before: NDArray[np.float64] | None = None
        ) -> Moments:
            values = [value_of(metric, inside[n]) for n in chosen]
            return moments(np.array([who[n] for n in chosen], np.intp), values, before, centre)

        ratings = [float(r) for n in mine if (r := inside[n].rating) is not None]
        latencies = [inside[n].latency_ms for n in mine]
        arms[arm] = ArmEvidence(
            identities=sum(arm in found for found in arms_of.values()),
            metrics={
                name: sums(mine, name, past if name == PRIMARY else None) for name in CLICK_METRICS
            },
            first=sums([n for n in mine if at[n] <= middle]),
            rest=sums([n for n in mine if at[n] > middle]),
            ratings=len(ratings),
            rating_sum=float(sum(ratings)),
            rating_sum_sq=float(sum(r * r for r in ratings)),
            latencies=len(latencies),
            latency_p95_ms=_p95(latencies),
            slow=sum(one > limit for one in latencies) if limit is not None else 0,
            varied=sums([n for n in mine if who[n] in varied]),
            failed=len(lost[arm]),
            failing=failure_evidence(answered[arm], lost[arm], allowed) if lost[arm] else 1.0,
        )
    strangers = sum(i.release != releases.get(i.variant) for i in impressions) if releases else 0
    return Evidence(
        arms, len(impressions), len(numbers), dict(Counter(flagged.values())), strangers,
        cost_per_1k_usd,
    )  # fmt: skip


def slow_limit_ms(baseline_p95_ms: float | None, limits: Limits) -> float | None:
    """How long a search of the candidate may take but for one in twenty."""
    if baseline_p95_ms is None:
        return None
    return max(limits.latency_floor_ms, baseline_p95_ms * (1.0 + limits.latency_delta_rel_max))


def _varied(
    impressions: Sequence[Impression], who: Sequence[int], people: Sequence[int]
) -> set[int]:
    patterns: dict[int, list[tuple[int, ...]]] = {}
    for n in people:
        patterns.setdefault(who[n], []).append(tuple(impressions[n].clicks))
    return {
        user
        for user, mine in patterns.items()
        if len(mine) >= VARIED_SEARCHES and len(set(mine)) > 1
    }


def _documents(impressions: Sequence[Impression]) -> list[list[int]]:
    numbers: dict[str, int] = {}
    return [
        [numbers.setdefault(one, len(numbers)) for one in clicked_documents(i) if one is not None]
        for i in impressions
    ]


def _p95(values: Sequence[float]) -> float | None:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))] if values else None

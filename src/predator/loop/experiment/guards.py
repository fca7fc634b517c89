"""What must not get worse while an experiment's metric gets better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from predator.loop.experiment.evidence import (
    BASELINE,
    CANDIDATE,
    ArmEvidence,
    Evidence,
    Limits,
    slow_limit_ms,
)
from predator.loop.experiment.metrics import CLICK_METRICS, METRICS, Registered
from predator.statistics.cluster_moments import Difference, difference
from predator.statistics.confidence_sequence import half_width

CSAT_MARGIN = 0.1
"""How much lower a candidate's ratings may be than a baseline that is below the floor itself."""
LEAST_LATENCIES = 20
LEAST_RATINGS = 10
"""The mean of fewer ratings (1 to 5) is uncertain by more than a third of a star."""
SLOW_SHARE = 0.05
DOUBT, SHOWN = 0.05, 0.001
"""One-sided levels: a loss at the first withholds a PASS, at the second it ends the experiment."""
_SHOWN_Z = 3.09


class State(StrEnum):
    """Whether a metric holds. Only ``holds`` lets an experiment pass."""

    HOLDS = "holds"
    DOUBTFUL = "doubtful"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Measured:
    """One registered metric at a look; ``None`` where there is nothing to say.

    ``delta_rel`` is the candidate's against the baseline, ``ci_low`` to ``ci_high`` its confidence
    sequence. ``note`` says why it does not hold.
    """

    name: str
    role: str
    state: State
    baseline: float | None = None
    candidate: float | None = None
    delta_rel: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    note: str = ""


def guards(
    evidence: Evidence, limits: Limits, alpha: float, planned_variance: float
) -> tuple[Measured, ...]:
    """Every guard that was registered, in that order; cost only where it is known."""
    found = []
    for one in METRICS:
        if one.role == "guard" and one.name in CLICK_METRICS:
            found.append(_clicks(one, evidence.arms, alpha, planned_variance))
    found += [_csat(evidence.arms, limits), _latency(evidence.arms, limits), _failed(evidence.arms)]
    if evidence.cost_per_1k_usd is not None:
        found.append(_cost(evidence.cost_per_1k_usd, limits))
    return tuple(found)


def shown(found: Difference, alpha: float, planned_variance: float) -> tuple[float, float]:
    """The confidence sequence of a relative difference; infinite where nothing is known."""
    width = float(half_width(found.variance_rel, planned_variance, alpha))
    return float(found.delta_rel) - width, float(found.delta_rel) + width


def _clicks(
    one: Registered, arms: Mapping[str, ArmEvidence], alpha: float, planned_variance: float
) -> Measured:
    found = difference(arms[BASELINE].metrics[one.name], arms[CANDIDATE].metrics[one.name])
    if not math.isfinite(found.variance_rel):
        # Nobody, or nobody who differs: alike in both arms is no loss, else there is no telling.
        same = found.mean_a == found.mean_b
        state = State.HOLDS if same else State.UNKNOWN
        note = "" if same else "without any spread it cannot be compared"
        return Measured(one.name, one.role, state, _f(found.mean_a), _f(found.mean_b), note=note)
    low, high = shown(found, alpha, planned_variance)
    gain = float(found.delta) if one.better == "higher" else -float(found.delta)
    z = gain / math.sqrt(float(found.variance))
    state = State.BROKEN if z < -_SHOWN_Z else State.DOUBTFUL if _p(z) <= DOUBT else State.HOLDS
    note = "" if state is State.HOLDS else f"{one.name} {float(found.delta_rel):+.1%}, a loss"
    return Measured(
        one.name, one.role, state, _f(found.mean_a), _f(found.mean_b), _f(found.delta_rel),
        _f(low), _f(high), note,
    )  # fmt: skip


def _csat(arms: Mapping[str, ArmEvidence], limits: Limits) -> Measured:
    """The satisfaction guard: ``csat_min``, or no lower than a baseline that is below it itself."""
    means = {
        name: arm.rating_sum / arm.ratings if arm.ratings else None for name, arm in arms.items()
    }
    baseline, candidate = means[BASELINE], means[CANDIDATE]
    few = min(arm.ratings for arm in arms.values()) < LEAST_RATINGS
    if baseline is None or candidate is None or few:
        note = (
            "ratings are missing, so satisfaction is not known"
            if baseline is None or candidate is None
            else f"fewer than {LEAST_RATINGS} ratings of an arm do not tell satisfaction"
        )
        return Measured("csat", "guard", State.UNKNOWN, baseline, candidate, note=note)
    least = limits.csat_min if baseline >= limits.csat_min else baseline - CSAT_MARGIN
    arm = arms[CANDIDATE]
    spread = max(0.0, arm.rating_sum_sq / arm.ratings - candidate**2)
    sure = candidate + _SHOWN_Z * math.sqrt(spread / arm.ratings) < least
    low = candidate < least
    state = State.HOLDS if not low else State.BROKEN if sure else State.DOUBTFUL
    note = f"user satisfaction {candidate:.2f} (baseline {baseline:.2f}, limit {least:g})"
    return Measured(
        "csat", "guard", state, baseline, candidate, candidate / baseline - 1.0,
        note=note if low else "",
    )  # fmt: skip


def _latency(arms: Mapping[str, ArmEvidence], limits: Limits) -> Measured:
    """Slow searches of the candidate against one in twenty, by the exact binomial tail.

    A p95 of few searches says little; how many took longer than the limit is a plain count.
    """
    from scipy.special import bdtrc

    baseline, candidate = arms[BASELINE], arms[CANDIDATE]
    p95 = baseline.latency_p95_ms, candidate.latency_p95_ms
    limit = slow_limit_ms(p95[0], limits)
    if limit is None or min(baseline.latencies, candidate.latencies) < LEAST_LATENCIES:
        note = "too few latencies were measured"
        return Measured("latency_p95_ms", "guard", State.UNKNOWN, *p95, note=note)
    if not all(one is not None and 0.0 < one < math.inf for one in p95):
        note = "the latencies measured cannot be"
        return Measured("latency_p95_ms", "guard", State.UNKNOWN, *p95, note=note)
    tail = float(bdtrc(candidate.slow - 1, candidate.latencies, SLOW_SHARE))
    slow = candidate.slow > SLOW_SHARE * candidate.latencies
    state = State.HOLDS if not slow or tail > DOUBT else State.DOUBTFUL
    state = State.BROKEN if slow and tail <= SHOWN else state
    share = candidate.slow / candidate.latencies
    note = f"{share:.0%} of the candidate's searches took longer than {limit:.0f} ms"
    change = p95[1] / p95[0] - 1.0 if p95[0] and p95[1] else None
    return Measured(
        "latency_p95_ms", "guard", state, *p95, change, note="" if state is State.HOLDS else note
    )


def _failed(arms: Mapping[str, ArmEvidence]) -> Measured:
    """Searches that were not answered: no other metric counts them."""
    shares = {
        name: arm.failed / attempts if (attempts := arm.failed + arm.latencies) else None
        for name, arm in arms.items()
    }
    found = arms[CANDIDATE].failing
    state = State.HOLDS if found < 1 / DOUBT else State.DOUBTFUL
    state = State.BROKEN if found >= 1 / SHOWN else state
    note = f"{arms[CANDIDATE].failed} of the candidate's searches failed"
    return Measured(
        "failed_share", "guard", state, shares[BASELINE], shares[CANDIDATE],
        note="" if state is State.HOLDS else note,
    )  # fmt: skip


def _cost(measured: float, limits: Limits) -> Measured:
    held = measured <= limits.cost_per_1k_usd_max
    note = "" if held else f"{measured:.3g} USD per 1,000 searches"
    state = State.HOLDS if held else State.BROKEN
    return Measured("cost_per_1k_usd", "guard", state, candidate=measured, note=note)


def _p(z: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(z))


def _f(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

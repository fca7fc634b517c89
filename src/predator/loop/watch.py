"""Station 8: keep, hold or roll back a fresh release, look by look.

Two tests side by side: a gross drop against a baseline taken *before* the change (a betting
e-process, valid at any look), and a small one against the concurrent hold-back on the old
release (O'Brien-Fleming boundaries). The e-process shows that the release lost more than *half*
of what counts as gross: at the full drop as its null, a drop of just that size would never show.
Too little data, or nothing to compare with, ends in HOLD, never in KEEP.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.verdicts import WatchDecision
from predator.ports.feedback import Impression
from predator.statistics.click_model import reciprocal_rank_of_first_click
from predator.statistics.clustered import clustered_difference
from predator.statistics.sequential import gross_drop_evidence, obrien_fleming_boundaries

EVIDENCE = 20.0
LATENCY_FACTOR = 1.5
LEAST_LIVE, LEAST_HELD = 100, 30


@dataclass(frozen=True, slots=True)
class Before:
    """The baseline, taken before the change: click-MRR and p95 latency of the old release."""

    click_mrr: float
    n: int
    latency_p95_ms: float


@dataclass(frozen=True, slots=True)
class Look:
    """One look: the decision, why, and the evidence it stands on."""

    number: int
    decision: WatchDecision
    reason: str
    live: int
    held: int
    click_mrr: float | None
    gross_evidence: float
    z_score: float | None
    boundary: float
    latency_p95_ms: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def before(impressions: Sequence[Impression]) -> Before:
    """The baseline from the impressions of the release that is about to be replaced.

    Raises ``ValueError`` without impressions or without a single click: nothing could be watched.
    """
    values = [reciprocal_rank_of_first_click(i.clicks) for i in impressions]
    if not values or sum(values) == 0:
        raise ValueError("no clicks before the change, so there is nothing to compare with")
    latencies = sorted(i.latency_ms for i in impressions)
    return Before(
        sum(values) / len(values), len(values), latencies[int(0.95 * (len(latencies) - 1))]
    )


def look(
    number: int,
    looks: int,
    baseline: Before,
    live: Sequence[Impression],
    held: Sequence[Impression],
    *,
    gross_drop_rel: float,
    alpha: float,
) -> Look:
    """Decide after look ``number`` (1-based) of ``looks`` on everything seen since the change."""
    boundary = obrien_fleming_boundaries(looks, alpha)[number - 1]
    shown_drop = gross_drop_rel / 2
    evidence = gross_drop_evidence(
        _per_user(live), max(1e-6, baseline.click_mrr * (1 - shown_drop))
    )
    z_score = _z_score(live, held)
    latency = _p95(live)
    mean = sum(map(_value, live)) / len(live) if live else None

    def decided(decision: WatchDecision, reason: str) -> Look:
        return Look(
            number,
            decision,
            reason,
            len(live),
            len(held),
            mean,
            evidence,
            z_score,
            boundary,
            latency,
        )

    if evidence >= EVIDENCE:
        return decided(
            WatchDecision.ROLL_BACK,
            f"click-MRR {mean or 0:.3f} against {baseline.click_mrr:.3f} before: a drop of more "
            f"than {shown_drop:.0%} is shown (evidence {min(evidence, 1e9):.3g})",
        )
    if z_score is not None and z_score <= -boundary:
        return decided(
            WatchDecision.ROLL_BACK,
            f"click-MRR is below the hold-back: z = {z_score:.2f}, boundary {-boundary:.2f}",
        )
    too_slow = max(LATENCY_FACTOR * baseline.latency_p95_ms, baseline.latency_p95_ms + 50)
    if number > 1 and latency is not None and len(live) >= LEAST_LIVE and latency > too_slow:
        return decided(WatchDecision.ROLL_BACK, f"p95 latency {latency:.0f} ms > {too_slow:.0f} ms")
    if number < looks:
        return decided(WatchDecision.HOLD, "no loss shown so far")
    if len(live) < LEAST_LIVE or len(held) < LEAST_HELD:
        return decided(
            WatchDecision.HOLD,
            f"{len(live)} live and {len(held)} held-back searches are too few to keep it on",
        )
    if z_score is None:
        return decided(WatchDecision.HOLD, "it cannot be compared with the hold-back")
    return decided(WatchDecision.KEEP, f"no loss shown in {looks} looks")


def _value(impression: Impression) -> float:
    return reciprocal_rank_of_first_click(impression.clicks)


def _per_user(impressions: Sequence[Impression]) -> list[float]:
    """One value per user, in the order in which users first came."""
    values: dict[str, list[float]] = {}
    for impression in impressions:
        values.setdefault(impression.user, []).append(_value(impression))
    return [sum(found) / len(found) for found in values.values()]


def _z_score(live: Sequence[Impression], held: Sequence[Impression]) -> float | None:
    if len(held) < LEAST_HELD or len(live) < LEAST_LIVE:
        return None
    try:
        found = clustered_difference(
            [i.user for i in held],
            [_value(i) for i in held],
            [i.user for i in live],
            [_value(i) for i in live],
        )
    except ValueError:
        return None
    return found.z_score if math.isfinite(found.z_score) else None


def _p95(impressions: Sequence[Impression]) -> float | None:
    values = sorted(i.latency_ms for i in impressions)
    return values[int(0.95 * (len(values) - 1))] if values else None

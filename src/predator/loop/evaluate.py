"""Station 5: the offline gates. A verdict from paired scores and measured guardrails.

PASS needs the point gain of the contour's gate, a one-sided lower bound above zero at the level
in force, and every guardrail measured and held. INCONCLUSIVE where the queries are too few to
show the target gain, with the number that would settle it. A missing measure is never a PASS.
The level in force is the caller's: the ledger's (``statistics.ledger``) where Gold is read again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.verdicts import Verdict
from predator.statistics.paired import PairedGain, needed_n, paired_gain, power_at
from predator.statistics.shrink import shrunken

CATEGORY_QUERIES = 30
"""A category with fewer held-out queries cannot be shown to be worse, and is not judged."""

MOST_SCORE = 1 + 1e-9
"""An NDCG ends at 1; what is beyond came from a broken source."""
MOST_MEASURED = 1e6
"""A latency above so many ms, or a price above so many USD, is a broken source."""


@dataclass(frozen=True, slots=True)
class Gates:
    """What a candidate must meet; relative values are fractions, see the settings.

    ``ndcg_delta_rel_min`` is the gain that one cares about: power is computed for it, and the
    estimate must reach ``point_share`` of it. ``alpha`` is the level of this one reading.
    """

    ndcg_delta_rel_min: float
    category_delta_rel_min: float
    latency_delta_rel_max: float
    latency_floor_ms: float
    cost_per_1k_usd_max: float
    alpha: float
    power: float
    point_share: float = 1.0

    @property
    def point_min(self) -> float:
        """The least relative gain of the estimate."""
        return self.ndcg_delta_rel_min * self.point_share


@dataclass(frozen=True, slots=True)
class Guardrail:
    """One measured limit: ``held`` is ``None`` where it could not be measured."""

    name: str
    held: bool | None
    value: float | None
    limit: str


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured beside relevance; ``None`` where it could not be."""

    latency_p95_ms_baseline: float | None
    latency_p95_ms_candidate: float | None
    cost_per_1k_usd: float | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The verdict with everything it stands on.

    ``gain_shrunken_rel``: the gain as it is to be expected, freed of the winner's curse; ``None``
    for what did not pass, for it was not chosen by its gain.
    """

    verdict: Verdict
    reason: str
    gain: PairedGain | None
    power_at_target: float | None
    queries_needed: int | None
    guardrails: Sequence[Guardrail]
    categories: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    gain_shrunken_rel: float | None = None

    def to_json(self) -> dict[str, Any]:
        value = asdict(self)
        value["guardrails"] = [asdict(guardrail) for guardrail in self.guardrails]
        return value


def evaluate(
    candidate: NDArray[np.float64],
    baseline: NDArray[np.float64],
    categories: Sequence[str],
    measured: Measured,
    gates: Gates,
) -> Evaluation:
    """Judge paired NDCG@10 per held-out query ([n] each, same order), ``categories`` of equal n."""
    target = gates.ndcg_delta_rel_min
    try:
        if not 0 < gates.point_share <= 1:
            raise ValueError(f"no share of the target gain: {gates.point_share}")
        if not (_possible(candidate) and _possible(baseline)):
            raise ValueError("a score is too large to be an NDCG")
        gain = paired_gain(candidate, baseline, alpha=gates.alpha)
        if len(categories) != gain.n:
            raise ValueError(f"{len(categories)} categories for {gain.n} queries")
        spread = gain.sd > 0
        power = power_at(gain.n, gain.sd, target, gates.alpha) if spread else 1.0
        needed = needed_n(gain.sd, target, gates.alpha, gates.power) if spread else gain.n
    except ValueError as error:
        return Evaluation(Verdict.ERROR, f"relevance: {error}", None, None, None, ())
    by_category = _categories(candidate, baseline, categories, gates)
    guardrails = (*guardrails_of(measured, gates), _worst_category(by_category, gates))
    verdict, reason = _verdict(gain, power, needed, guardrails, gates)
    return Evaluation(
        verdict, reason, gain, power, needed, guardrails, by_category,
        _without_curse(gain, gates) if verdict is Verdict.PASS else None,
    )  # fmt: skip


def _without_curse(gain: PairedGain, gates: Gates) -> float:
    """A gain that passed, given that it had to exceed the point gate and be significant."""
    significant = gain.delta_rel - gain.lower_bound
    threshold = max(gates.point_min, significant)
    if not gain.delta_rel > threshold:
        return 0.0
    return shrunken(gain.delta_rel, gain.sd / math.sqrt(gain.n), threshold)


def _verdict(
    gain: PairedGain,
    power: float,
    needed: int,
    guardrails: Sequence[Guardrail],
    gates: Gates,
) -> tuple[Verdict, str]:
    unmeasured = [guardrail.name for guardrail in guardrails if guardrail.held is None]
    if unmeasured:
        return Verdict.ERROR, f"not measured: {', '.join(unmeasured)}"
    broken = [guardrail.name for guardrail in guardrails if guardrail.held is False]
    if broken:
        return Verdict.FAIL, f"guardrail broken: {', '.join(broken)}"
    found = f"NDCG@10 {gain.delta_rel:+.1%}, at least {gain.lower_bound:+.1%}"
    target, least = f"{gates.ndcg_delta_rel_min:+.1%}", f"{gates.point_min:+.1%}"
    if gain.delta_rel >= gates.point_min and gain.lower_bound > 0:
        return Verdict.PASS, f"{found} (gate {least} and above zero)"
    if power < gates.power:
        return (
            Verdict.INCONCLUSIVE,
            f"{found}; {gain.n} queries show {target} with a power of only {power:.0%}, "
            f"{needed} would settle it",
        )
    return Verdict.FAIL, f"{found}; the gate asks {least} and a lower bound above zero"


def guardrails_of(measured: Measured, gates: Gates) -> tuple[Guardrail, Guardrail]:
    """Whether latency and cost stay inside the gates."""
    before = _measurement(measured.latency_p95_ms_baseline)
    after = _measurement(measured.latency_p95_ms_candidate)
    limit = f"≤ {gates.latency_delta_rel_max:+.0%} or ≤ {gates.latency_floor_ms:g} ms"
    latency_held: bool | None = None
    if before is not None and after is not None:
        allowed = max(before * (1 + gates.latency_delta_rel_max), gates.latency_floor_ms)
        latency_held = after <= allowed
    cost = _measurement(measured.cost_per_1k_usd)
    cost_held = cost <= gates.cost_per_1k_usd_max if cost is not None else None
    return (
        Guardrail("latency_p95_ms", latency_held, after, limit),
        Guardrail("cost_per_1k_usd", cost_held, cost, f"≤ {gates.cost_per_1k_usd_max:g}"),
    )


def _possible(scores: NDArray[np.float64]) -> bool:
    """Whether the scores are of the size of an NDCG; what is not finite, others name."""
    return bool((np.abs(scores[np.isfinite(scores)]) <= MOST_SCORE).all())


def _measurement(value: float | None) -> float | None:
    """``value`` where it can be a duration or a price, else ``None``: it was not measured."""
    return value if value is not None and 0 <= value <= MOST_MEASURED else None


def _categories(
    candidate: NDArray[np.float64],
    baseline: NDArray[np.float64],
    categories: Sequence[str],
    gates: Gates,
) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    names = np.asarray(categories)
    for name in sorted(set(categories)):
        chosen = names == name
        if chosen.sum() < CATEGORY_QUERIES or baseline[chosen].mean() <= 0:
            continue
        try:
            gain = paired_gain(candidate[chosen], baseline[chosen], alpha=gates.alpha)
        except ValueError:
            continue  # a gain without any spread: nothing to test, and no loss
        found[name] = {
            "n": gain.n,
            "baseline": gain.baseline_mean,
            "candidate": gain.candidate_mean,
            "ndcg_delta_rel": gain.delta_rel,
            "ci_low": gain.ci_low,
            "ci_high": gain.ci_high,
        }
    return found


def _worst_category(by_category: Mapping[str, Mapping[str, float]], gates: Gates) -> Guardrail:
    limit = f"no category shown below {gates.category_delta_rel_min:+.0%}"
    highest = [values["ci_high"] for values in by_category.values()]
    worst = min(highest) if highest else None
    held = worst is None or worst >= gates.category_delta_rel_min
    return Guardrail("worst_category_upper_bound", held, worst, limit)

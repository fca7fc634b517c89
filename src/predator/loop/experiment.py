"""Station 6: an experiment on live users, planned before it starts and judged at one look.

The metric is registered beforehand: click-MRR (the reciprocal rank of the first click), because
NDCG is not observed live. Users, not searches, are the units of the test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from predator.domain.verdicts import Verdict
from predator.ports.feedback import Impression
from predator.statistics.click_model import reciprocal_rank_of_first_click
from predator.statistics.clustered import ArmDifference, clustered_difference
from predator.statistics.power import detectable_effect, experiment_size
from predator.statistics.sample_ratio import sample_ratio

METRIC = "click_mrr"
CSAT_MARGIN = 0.1
"""How much lower a candidate's ratings may be than a baseline that is below the floor itself."""
BOT_SEARCHES = 100
"""More searches than this by one user within an experiment is no person."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Declared before the start; ``effect_rel`` is the gain that ``searches`` shows with ``power``.

    ``searches`` counts both arms. ``limited`` tells that the longest duration allowed fewer
    searches than the wanted power asks.
    """

    metric: str
    share: float
    alpha: float
    searches: int
    effect_rel: float
    expected_rel: float
    power_at_expected: float
    baseline_mean: float
    sd: float
    limited: bool
    looks: int = 1

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Result:
    """What one look at the end of the experiment says."""

    verdict: Verdict
    reason: str
    difference: ArmDifference | None
    users: dict[str, int]
    excluded_users: int
    csat: dict[str, float | None]
    latency_p95_ms: dict[str, float | None]

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
    searches_at_most: int,
    searches_at_least: int,
) -> Plan:
    """Size an experiment from recent traffic and the gain that the offline gate showed.

    Plans for ``at_least_rel``, the lower bound of the offline gain (an estimate that was chosen
    for being high is too high), within the bounds given. Raises ``ValueError`` without usable
    history.
    """
    values = [reciprocal_rank_of_first_click(i.clicks) for i in history]
    if len(values) < 30:
        raise ValueError(f"{len(values)} recent searches are too few to plan an experiment")
    mean = sum(values) / len(values)
    sd = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
    if mean <= 0 or sd <= 0:
        raise ValueError("recent searches have no clicks to measure a gain by")
    wanted = experiment_size(sd, max(at_least_rel, 1e-3) * mean, share, alpha=alpha, power=power)
    searches = max(searches_at_least, min(wanted, searches_at_most))
    effect = detectable_effect(searches, sd, share, alpha=alpha, power=power) / mean
    return Plan(
        METRIC, share, alpha, searches, effect, expected_rel,
        _power(searches, sd, expected_rel * mean, share, alpha), mean, sd, wanted > searches,
    )  # fmt: skip


def judge(
    planned: Plan,
    impressions: Sequence[Impression],
    csat_min: float,
    power: float,
    releases: Mapping[str, str] | None = None,
) -> Result:
    """The verdict on the impressions of one experiment (both arms, oldest first).

    PASS where click-MRR is shown to gain at ``alpha`` with sane guards; INCONCLUSIVE short of
    the declared sample, on a sample-ratio mismatch, missing guards, or where the gain is not
    shown but a loss is neither. ``releases`` names the release that each arm must have had:
    ERROR where another one answered.
    """
    people, excluded = _people(impressions)
    arms = {arm: [i for i in people if i.variant == arm] for arm in ("baseline", "candidate")}
    users = {arm: len({i.user for i in rows}) for arm, rows in arms.items()}
    csat = {arm: _csat(rows) for arm, rows in arms.items()}
    latency = {arm: _p95([i.latency_ms for i in rows]) for arm, rows in arms.items()}

    def result(verdict: Verdict, reason: str, found: ArmDifference | None = None) -> Result:
        return Result(verdict, reason, found, users, excluded, csat, latency)

    if min(users.values()) < 2:
        return result(Verdict.ERROR, "an arm had no users")
    if releases and any(i.release != releases.get(i.variant) for i in impressions):
        return result(Verdict.ERROR, "another release answered in an arm of the experiment")
    if len(impressions) < planned.searches:
        return result(
            Verdict.INCONCLUSIVE,
            f"{len(impressions)} of the {planned.searches} searches declared: nothing is judged",
        )
    shares = {"baseline": 1 - planned.share, "candidate": planned.share}
    if sample_ratio(users, shares).mismatch:
        return result(Verdict.INCONCLUSIVE, f"sample-ratio mismatch: {users} for {shares}")
    try:
        found = _difference(arms["baseline"], arms["candidate"], planned.alpha)
    except ValueError as error:
        return result(Verdict.ERROR, f"click-MRR: {error}")
    bad_csat = _csat_broken(csat, csat_min)
    if bad_csat is not None:
        return result(
            Verdict.INCONCLUSIVE if "missing" in bad_csat else Verdict.FAIL, bad_csat, found
        )
    shown = f"click-MRR {found.delta_rel:+.1%}, at least {found.lower_bound:+.1%}"
    if found.p_value <= planned.alpha:
        return result(Verdict.PASS, f"{shown} (p = {found.p_value:.2g}, one look)", found)
    if found.ci_high < 0:
        return result(Verdict.FAIL, f"{shown}: a loss is shown", found)
    missing = " (the plan had too little traffic)" if planned.power_at_expected < power else ""
    return result(Verdict.INCONCLUSIVE, f"{shown}: no gain is shown{missing}", found)


def unplanned(reason: str) -> Result:
    """The result of an experiment that could not even be planned."""
    nothing = dict.fromkeys(("baseline", "candidate"))
    return Result(Verdict.ERROR, reason, None, {}, 0, nothing, nothing)


def _people(impressions: Sequence[Impression]) -> tuple[list[Impression], int]:
    counts: dict[str, int] = {}
    for impression in impressions:
        counts[impression.user] = counts.get(impression.user, 0) + 1
    bots = {user for user, count in counts.items() if count > BOT_SEARCHES}
    return [i for i in impressions if i.user not in bots], len(bots)


def _difference(
    baseline: Sequence[Impression], candidate: Sequence[Impression], alpha: float
) -> ArmDifference:
    return clustered_difference(
        [i.user for i in baseline],
        [reciprocal_rank_of_first_click(i.clicks) for i in baseline],
        [i.user for i in candidate],
        [reciprocal_rank_of_first_click(i.clicks) for i in candidate],
        alpha,
    )


def _power(searches: int, sd: float, effect: float, share: float, alpha: float) -> float:
    from scipy.special import ndtr, ndtri

    error = sd * (1 / (searches * share) + 1 / (searches * (1 - share))) ** 0.5
    return float(ndtr(effect / error - ndtri(1 - alpha)))


def _csat(rows: Sequence[Impression]) -> float | None:
    ratings = [i.rating for i in rows if i.rating is not None]
    return sum(ratings) / len(ratings) if ratings else None


def _csat_broken(csat: dict[str, float | None], least: float) -> str | None:
    """The satisfaction guard: ``least``, or no lower than a baseline that is below it itself."""
    baseline, candidate = csat["baseline"], csat["candidate"]
    if baseline is None or candidate is None:
        return "ratings are missing, so satisfaction is not known"
    if candidate < (least if baseline >= least else baseline - CSAT_MARGIN):
        return f"user satisfaction {candidate:.2f} (baseline {baseline:.2f}, limit {least:g})"
    return None


def _p95(values: Sequence[float]) -> float | None:
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))] if values else None

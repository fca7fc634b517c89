"""Station 6: an experiment on live users, planned before it starts and looked at until it is clear.

Users, not searches, are the units. The evidence decides (an e-process tuned to the registered
gain, so that looking often costs nothing); the confidence sequence is what is shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from predator.domain.verdicts import Verdict
from predator.loop.experiment.evidence import ARMS, BASELINE, BOTH_ARMS, CANDIDATE, Evidence, Limits
from predator.loop.experiment.guards import Measured, State, guards, shown
from predator.loop.experiment.plan import Plan
from predator.loop.experiment.result import ArmDifference, Excluded, Novelty, Point, Result
from predator.statistics.cluster_moments import difference
from predator.statistics.evidence import chance_of_evidence, log_evidence
from predator.statistics.sample_ratio import RatioEvidence, sequential_sample_ratio

LEAST_USERS = 50
"""With fewer users in an arm a mean is too far from normal to be weighed."""
QUARANTINE_SHARE = 0.02
"""Where so many identities are no people, those that were not found are too many as well."""
FUTILE = 0.02
"""Below this chance of ever showing the registered gain, users are asked for nothing."""
_LARGEST_LOG = 700.0


def look(
    planned: Plan,
    seen: Evidence,
    limits: Limits,
    *,
    number: int,
    elapsed_s: float,
    last: bool,
    looks: Sequence[Point] = (),
    left_s: float | None = None,
) -> Result:
    """Look number ``number`` at an experiment that has run for ``elapsed_s``; earlier ``looks``.

    ``left_s``: how much longer it may run, where a machine that slept makes that more than the
    longest duration less ``elapsed_s``.

    PASS from the shortest duration on, where the evidence of a gain reaches the threshold, all
    guards hold, and the gain is neither of the first half alone nor of users alone who click alike
    in every search. FAIL at any look where as much evidence
    speaks for a loss of that size, or a guard is shown to be broken. INCONCLUSIVE on a sample-ratio
    mismatch, in quarantine, where the registered gain is excluded or out of reach, and at the
    ``last`` look. ERROR where another release answered, or an arm has no users at the end.
    """
    users = {arm: int(seen.arms[arm].metrics[planned.metric].users) for arm in ARMS}
    excluded = _excluded(seen)
    ratio = _ratio(planned, {arm: seen.arms[arm].identities for arm in ARMS})
    late = elapsed_s >= planned.min_s
    left = max(0.0, planned.max_s - elapsed_s) if left_s is None else left_s
    found = _difference(planned, seen)
    measured = _measured(planned, seen, limits, found)
    novelty = _novelty(seen)
    points = (*looks, _point(number, elapsed_s, seen, planned, found))

    def say(verdict: Verdict, reason: str, *, ended: bool = True) -> Result:
        return Result(
            verdict, reason, ended, seen.searches, elapsed_s, users, found, measured, ratio,
            excluded, novelty, points,
        )  # fmt: skip

    if seen.strangers:
        return say(Verdict.ERROR, "another release answered in an arm of the experiment")
    if last and min(users.values()) == 0:
        return say(Verdict.ERROR, "an arm had no users")
    if ratio.mismatch:
        return say(
            Verdict.INCONCLUSIVE,
            f"sample-ratio mismatch: {_of_arms({a: seen.arms[a].identities for a in ARMS})}",
        )
    gone = _gone(planned, seen)
    if _ratio(planned, gone).mismatch:
        return say(
            Verdict.INCONCLUSIVE,
            f"the arms lost different shares of their users as no people: {_of_arms(gone)}",
        )
    if (late or last) and excluded.quarantined:
        return say(
            Verdict.INCONCLUSIVE,
            f"{excluded.share:.1%} of the identities are no people: the data are in quarantine",
        )
    if min(users.values()) < LEAST_USERS or found is None:
        few = f"{_of_arms(users)}, at least {LEAST_USERS} needed in each"
        why = few if min(users.values()) < LEAST_USERS else "click-MRR has no spread to weigh"
        return say(Verdict.INCONCLUSIVE, why, ended=last)
    text = f"click-MRR {found.delta_rel:+.1%}, E = {found.evidence:.3g}"
    gain, loss, chance = _weighed(planned, seen, left)
    threshold = math.log(planned.evidence)
    if loss >= threshold:
        return say(Verdict.FAIL, f"{text}: a loss is shown")
    broken = next((m.note for m in measured if m.state is State.BROKEN), None)
    if broken is not None:
        return say(Verdict.FAIL, f"{broken} ({text})")
    held = _withheld(seen, measured, novelty)
    if gain >= threshold and late and not held:
        return say(Verdict.PASS, f"{text} after {number} looks: a gain is shown")
    if gain <= -threshold:
        effect = f"{planned.effect_rel:+.1%}"
        return say(Verdict.INCONCLUSIVE, f"{text}: the registered gain of {effect} is excluded")
    if chance < FUTILE and not last:
        return say(
            Verdict.INCONCLUSIVE,
            f"{text}: a chance of {chance:.1%} to show {planned.effect_rel:+.1%} in time",
        )
    why = f" ({held})" if held else ""
    if last:
        return say(Verdict.INCONCLUSIVE, f"{text}: no gain is shown in the longest duration{why}")
    return say(Verdict.INCONCLUSIVE, f"{text}: not clear yet{why}", ended=False)


def _of_arms(users: Mapping[str, int]) -> str:
    return " and ".join(f"{users[arm]} users of the {arm}" for arm in ARMS)


def _weighed(planned: Plan, seen: Evidence, left_s: float) -> tuple[float, float, float]:
    """ln E of a gain and of a loss, and the chance that the former gets there in time."""
    found = difference(
        seen.arms[BASELINE].metrics[planned.metric],
        seen.arms[CANDIDATE].metrics[planned.metric],
        cuped=planned.cuped.used,
    )
    effect = planned.effect_abs
    gain, loss = (
        float(log_evidence(found.delta, found.variance, sign * effect)) for sign in (1.0, -1.0)
    )
    # New users would bring more, those who come again less: this is the most that can come.
    so_far = planned.max_s - left_s
    to_come = left_s / so_far if so_far > 0.0 else math.inf
    information = min(effect**2 / float(found.variance) * to_come, 1e6)
    chance = chance_of_evidence(information, threshold=planned.evidence, log_now=gain)
    return gain, loss, chance


def _difference(planned: Plan, seen: Evidence) -> ArmDifference | None:
    a, b = (seen.arms[arm].metrics[planned.metric] for arm in ARMS)
    if min(a.users, b.users) < 2:
        return None
    plain, found = difference(a, b), difference(a, b, cuped=planned.cuped.used)
    if not (math.isfinite(found.variance_rel) and math.isfinite(found.delta_rel)):
        return None
    low, high = shown(found, planned.alpha, planned.planned_variance)
    weight = float(log_evidence(found.delta, found.variance, planned.effect_abs))
    return ArmDifference(
        mean_a=float(a.mean),
        mean_b=float(b.mean),
        delta_rel=float(found.delta_rel),
        ci_low=low,
        ci_high=high,
        n_a=int(a.n),
        n_b=int(b.n),
        users_a=int(a.users),
        users_b=int(b.users),
        evidence=math.exp(min(weight, _LARGEST_LOG)),
        variance_reduction=1.0 - float(found.variance / plain.variance),
    )


def _measured(
    planned: Plan, seen: Evidence, limits: Limits, found: ArmDifference | None
) -> tuple[Measured, ...]:
    primary = Measured(planned.metric, "primary", State.UNKNOWN, note="nothing to compare")
    if found is not None:
        shown_gain = found.evidence >= planned.evidence
        primary = Measured(
            planned.metric, "primary", State.HOLDS if shown_gain else State.DOUBTFUL,
            found.mean_a, found.mean_b, found.delta_rel, found.ci_low, found.ci_high,
            "" if shown_gain else "no gain is shown",
        )  # fmt: skip
    return (primary, *guards(seen, limits, planned.alpha, planned.planned_variance))


def _novelty(seen: Evidence) -> Novelty:
    first, rest = (
        difference(getattr(seen.arms[BASELINE], part), getattr(seen.arms[CANDIDATE], part))
        for part in ("first", "rest")
    )
    gains = [
        float(one.delta_rel) if math.isfinite(one.variance_rel) else None for one in (first, rest)
    ]
    return Novelty(gains[0], gains[1], gains[1] is not None and gains[1] > 0.0)


def _withheld(seen: Evidence, measured: Sequence[Measured], novelty: Novelty) -> str:
    """Why a gain, however evident, is not let pass yet; empty where nothing speaks against it."""
    for one in measured:
        if one.role == "guard" and one.state is not State.HOLDS:
            return one.note
    if not novelty.holds:
        return "the second half of the time does not show the gain"
    return "" if _broad(seen) else "only users who click alike in every search show the gain"


def _broad(seen: Evidence) -> bool:
    """Whether users whose clicks vary show a gain too, where there are enough of them to ask.

    A better release is better for most; bought clicks are all alike, and as long as each identity
    searches no more than people do, that is all that tells it from them.
    """
    a, b = (seen.arms[arm].varied for arm in ARMS)
    if a is None or b is None or min(a.users, b.users) < LEAST_USERS:
        return True
    return float(difference(a, b).delta) > 0.0


def _ratio(planned: Plan, users: Mapping[str, int]) -> RatioEvidence:
    shares = {BASELINE: 1.0 - planned.share, CANDIDATE: planned.share}
    return sequential_sample_ratio(users, shares)


def _gone(planned: Plan, seen: Evidence) -> dict[str, int]:
    """How many identities of each arm were left out as no people.

    Whom the candidate finds nothing never clicks, and looks like a machine: left out of one arm
    more than of the other, users are what the candidate did to them.
    """
    torn = seen.excluded.get(BOTH_ARMS, 0)
    return {
        arm: seen.arms[arm].identities - torn - int(seen.arms[arm].metrics[planned.metric].users)
        for arm in ARMS
    }


def _excluded(seen: Evidence) -> Excluded:
    users = sum(seen.excluded.values())
    share = users / seen.identities if seen.identities else 0.0
    enough = seen.identities >= LEAST_USERS
    return Excluded(users, share, enough and share >= QUARANTINE_SHARE, dict(seen.excluded))


def _point(
    number: int, elapsed_s: float, seen: Evidence, planned: Plan, found: ArmDifference | None
) -> Point:
    a, b = (seen.arms[arm].metrics[planned.metric] for arm in ARMS)
    return Point(
        number, elapsed_s, int(a.n), int(b.n), int(a.users), int(b.users),
        found.delta_rel if found else None,
        found.ci_low if found else None,
        found.ci_high if found else None,
        found.evidence if found else 1.0,
    )  # fmt: skip

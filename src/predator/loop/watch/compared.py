"""One metric at one look of the watch: against the past, the hold-back, and both together."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from predator.loop.watch.before import Arm, Before, Values
from predator.loop.watch.plan import HOLDBACK_PART, WatchPlan
from predator.statistics.clustered import ArmDifference, Users, clustered_difference
from predator.statistics.sequential import gross_drop_evidence, obrien_fleming_boundaries
from predator.statistics.watch_control import control_z
from predator.statistics.watch_sample import level
from predator.statistics.watch_share import POWER

LEAST_LIVE, LEAST_HELD = 100, 30
_Z95 = 1.6448536269514722


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric at one look; means, and searches of each arm.

    ``gross_evidence``: that the release lost more than half of a gross drop. ``z_score``: against
    the hold-back; ``control_z``: against hold-back and past together; both negative where it is
    worse, ``None`` where it cannot be compared, and each with the boundary below which it shows a
    loss. ``sees_rel``: the relative drop that the data so far show in 95 of 100 cases;
    ``at_least_rel``: the one-sided 95% lower bound of the relative difference to the hold-back.
    """

    name: str
    live: float | None
    held: float | None
    n_live: int
    n_held: int
    gross_evidence: float
    z_score: float | None
    boundary: float
    control_z: float | None
    control_boundary: float
    sees_rel: float | None
    at_least_rel: float | None


def compared(
    name: str, number: int, plan: WatchPlan, before: Before, live: Arm, held: Arm
) -> Compared:
    """``name`` at look ``number``, on everything served since the change."""
    (users, values), (held_users, held_values) = live.of(name), held.of(name)
    boundaries = _boundaries(plan, name)
    # The evidence is by user. What one user finds on average lies between the mean of all searches
    # (each user seen once) and that of all users (each seen often), so the smaller one is its null.
    was = before.metrics[name]
    least = was.mean if was.user_mean is None else min(was.mean, was.user_mean)
    found = None
    if len(values) >= LEAST_LIVE and len(held_values) >= LEAST_HELD:
        found = _difference(held_users, held_values, users, values)
    if found is not None:
        # A season that lowers both releases is no fault of the fresh one.
        held_own = _per_user(held_users, held_values)
        least = min(least, found.mean_a + _Z95 * _error(found), _at_most(held_own))
    null = min(max(1e-6, least * (1.0 - shown_drop(plan))), 1.0 - 1e-6)
    return Compared(
        name,
        _mean(values),
        _mean(held_values),
        len(values),
        len(held_values),
        gross_drop_evidence(_per_user(users, values), null),
        found.z_score if found is not None and math.isfinite(found.z_score) else None,
        boundaries[min(number, plan.looks) - 1],
        _control_z(name, number, plan, before, live, held) if found is not None else None,
        _quantile(1.0 - (1.0 - HOLDBACK_PART) * plan.levels[name] / plan.looks),
        _visible(found, boundaries[-1]) if found is not None else None,
        found.lower_bound if found is not None and math.isfinite(found.lower_bound) else None,
    )


def _boundaries(plan: WatchPlan, metric: str) -> tuple[float, ...]:
    """What z against the hold-back has to cross, look by look."""
    return obrien_fleming_boundaries(plan.looks, HOLDBACK_PART * plan.levels[metric])


def _control_z(
    name: str, number: int, plan: WatchPlan, before: Before, live: Arm, held: Arm
) -> float | None:
    was = before.metrics[name]
    hours = number * plan.limits.look_s / 3600.0
    try:
        arms = level(*live.of(name)), level(*held.of(name))
    except ValueError:
        return None
    found = control_z(*arms, was, plan.limits.drift_rel_per_hour * hours * was.mean)
    return found if math.isfinite(found) else None


def _quantile(probability: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(probability))


def _difference(
    users_a: Users, values_a: Values, users_b: Users, values_b: Values
) -> ArmDifference | None:
    try:
        return clustered_difference(users_a, values_a, users_b, values_b)
    except ValueError:
        return None


def _error(found: ArmDifference) -> float:
    """The standard error of the absolute difference if the arms were equal."""
    if found.z_score != 0.0:
        return found.delta_abs / found.z_score
    return (found.ci_high - found.ci_low) / (2 * 1.96) * found.mean_a


def _visible(found: ArmDifference, boundary: float) -> float:
    return _error(found) / found.mean_a * (boundary + _quantile(POWER))


def shown_drop(plan: WatchPlan) -> float:
    """What the e-process shows: half of a gross drop."""
    return plan.limits.gross_drop_rel / 2


def _at_most(values: Sequence[float]) -> float:
    """The one-sided 95% upper bound of the mean behind ``values``, one a user."""
    mean = math.fsum(values) / len(values)
    variance = math.fsum((one - mean) ** 2 for one in values) / max(1, len(values) - 1)
    return mean + _Z95 * math.sqrt(variance / len(values))


def _per_user(users: Users, values: Values) -> list[float]:
    """One value per user, in the order in which users first came."""
    found: dict[Hashable, list[float]] = {}
    for user, value in zip(users, values, strict=True):
        found.setdefault(user, []).append(value)
    return [sum(of_user) / len(of_user) for of_user in found.values()]


def _mean(values: Values) -> float | None:
    return float(sum(values)) / len(values) if len(values) else None

"""How large a hold-back, and how long a watch, a drop of a given size needs."""

from __future__ import annotations

import math

from predator.statistics.power import watch_detectable_drop
from predator.statistics.samples import positive
from predator.statistics.watch_sample import Level

POWER = 0.95
"""How surely a drop that a watch "can see" is seen."""
_LEAST_SD = 1e-3
"""A metric that showed no spread at all may still have some."""


def visible_drop(
    metric: Level, searches_per_look: float, looks: int, share: float, alpha: float
) -> float:
    """The relative drop (0.05 = 5%) of ``metric`` that a watch sees in 95 of 100 cases.

    See :func:`~predator.statistics.power.watch_detectable_drop`; 1 or more: not even a total loss.
    """
    return watch_detectable_drop(
        searches_per_look, looks, share, max(metric.sd, _LEAST_SD), metric.mean,
        alpha=alpha, power=POWER, design_effect=metric.design_effect,
    )  # fmt: skip


def smallest_share(
    metric: Level,
    searches_per_look: float,
    looks: int,
    alpha: float,
    *,
    drop_rel: float,
    share: float,
    share_max: float,
) -> float:
    """The smallest hold-back from ``share`` up to ``share_max`` that sees ``drop_rel``.

    Where none does, ``share_max`` (at most one half: beyond it the other arm is the small one).
    Rounded up to thousandths.
    """
    most = max(share, min(share_max, 0.5))
    at_share = visible_drop(metric, searches_per_look, looks, share, alpha)
    if at_share <= positive("drop_rel", drop_rel):
        return share
    # The error goes with sqrt(1/s + 1/(1-s)), so that s(1-s) has to grow by the square.
    product = share * (1.0 - share) * (at_share / drop_rel) ** 2
    if product >= most * (1.0 - most):
        return most
    return min(most, math.ceil(1000.0 * (1.0 - math.sqrt(1.0 - 4.0 * product)) / 2.0) / 1000.0)


def looks_needed(
    metric: Level, searches_per_look: float, looks: int, share: float, alpha: float, drop_rel: float
) -> int:
    """How many looks see ``drop_rel``: ``looks``, or more; the drop goes with 1/sqrt(looks)."""
    seen = visible_drop(metric, searches_per_look, looks, share, alpha)
    return max(looks, math.ceil(looks * (seen / positive("drop_rel", drop_rel)) ** 2 - 1e-9))

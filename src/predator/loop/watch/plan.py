"""Before the deploy: which drop a watch will see at this traffic, and what is done about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from predator.loop.watch.before import Before
from predator.statistics.watch_sample import Level
from predator.statistics.watch_share import looks_needed, smallest_share, visible_drop

HOLDBACK_PART = 0.5
"""Of a metric's level, the part of the test against the hold-back alone."""
HELD_NEEDED = 60
"""Held-back searches, as expected, for a metric to be compared: twice what a look asks."""
SHARPEST_LEVEL = 0.9
"""Of the error level, the part of the metric that sees most; the others share the rest."""


@dataclass(frozen=True, slots=True)
class WatchLimits:
    """What a contour asks of its watches.

    ``tolerated_drop_rel``: a release is kept only by a watch that could have seen this drop.
    Where ``looks`` looks ``look_s`` apart with ``share`` of the users held back cannot, the
    hold-back is widened up to ``share_max``, then the watch is lengthened up to ``extend_max``
    times. ``gross_drop_rel`` is a drop that counts as gross, ``alpha`` the error level of all
    small-drop tests together. A p95 up to ``latency_floor_ms`` is never too slow. Where
    ``cpu_hour_usd`` is 0, nothing is known of costs. ``drift_rel_per_hour``: how far a metric
    moves by itself in an hour (season, news), as a standard deviation.
    """

    looks: int
    look_s: float
    share: float
    share_max: float
    extend_max: int
    tolerated_drop_rel: float
    gross_drop_rel: float
    alpha: float
    latency_floor_ms: float = 100.0
    cpu_hour_usd: float = 0.0
    cost_per_1k_usd_max: float = 0.0
    drift_rel_per_hour: float = 0.015


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What a watch will do. ``levels``: error level by metric; ``sees_rel``: the relative drop of
    each that is seen in 95 of 100 cases; ``told``: the same for people, with what was changed.
    """

    looks: int
    share: float
    searches_per_look: float
    levels: Mapping[str, float]
    sees_rel: Mapping[str, float]
    limits: WatchLimits
    told: str

    @property
    def looks_max(self) -> int:
        """Where the traffic does not come as planned, so many looks are taken at most."""
        return max(self.looks, self.limits.looks * self.limits.extend_max)


def plan_watch(before: Before, searches_per_look: float, limits: WatchLimits) -> WatchPlan:
    """The hold-back and the looks that show ``limits.tolerated_drop_rel``, within what is allowed.

    The error level goes by weight to those metrics of the baseline that will come often enough on
    the hold-back to be compared, most of it to the one that sees the smallest drop; it is split
    before anything is seen. Raises ``ValueError`` for a baseline
    without a metric and for no traffic.
    """
    if not before.metrics:
        raise ValueError("the baseline has no metric, so there is nothing to watch")
    rates = _rates(before.metrics, searches_per_look, limits)
    metrics = {name: before.metrics[name] for name in rates}

    def seen(name: str, looks: int, share: float, alpha: float) -> float:
        return visible_drop(metrics[name], rates[name], looks, share, HOLDBACK_PART * alpha)

    sharpest = min(metrics, key=lambda n: (seen(n, limits.looks, limits.share, limits.alpha), n))
    levels = _levels(metrics, sharpest, limits.alpha)
    metric, rate = metrics[sharpest], rates[sharpest]
    alpha = HOLDBACK_PART * levels[sharpest]
    share = smallest_share(
        metric, rate, limits.looks, alpha,
        drop_rel=limits.tolerated_drop_rel, share=limits.share, share_max=limits.share_max,
    )  # fmt: skip
    comparable = HELD_NEEDED / (limits.looks * min(rates.values()))
    share = max(share, min(limits.share_max, comparable))
    looks = min(
        looks_needed(metric, rate, limits.looks, share, alpha, limits.tolerated_drop_rel),
        limits.looks * limits.extend_max,
    )
    sees = {name: seen(name, looks, share, level) for name, level in levels.items()}
    told = _told(limits, searches_per_look, share, looks, sees)
    return WatchPlan(looks, share, searches_per_look, levels, sees, limits, told)


def _rates(
    metrics: Mapping[str, Level], searches_per_look: float, limits: WatchLimits
) -> Mapping[str, float]:
    """Searches a look of each metric that can be compared at all; of the most frequent, always."""
    most = max(level.n for level in metrics.values())
    rates = {name: searches_per_look * level.n / most for name, level in metrics.items()}
    held = limits.looks * max(limits.share, limits.share_max)
    return {
        name: rate
        for name, rate in rates.items()
        if rate * held >= HELD_NEEDED or metrics[name].n == most
    }


def _levels(metrics: Mapping[str, Level], sharpest: str, alpha: float) -> Mapping[str, float]:
    others = len(metrics) - 1
    if others == 0:
        return {sharpest: alpha}
    rest = (1.0 - SHARPEST_LEVEL) * alpha / others
    return {name: SHARPEST_LEVEL * alpha if name == sharpest else rest for name in metrics}


def _told(
    limits: WatchLimits, per_look: float, share: float, looks: int, sees: Mapping[str, float]
) -> str:
    best = min(sees.values())
    each = " and ".join(f"{min(drop, 1.0):.1%} of {name}" for name, drop in sorted(sees.items()))
    text = f"{looks} looks at {per_look:.0f} searches, {share:.1%} held back, see a drop of {each}"
    if share > limits.share:
        text += f"; the hold-back was widened from {limits.share:.1%}"
    if looks > limits.looks:
        text += f"; the watch was lengthened from {limits.looks} looks"
    if best > limits.tolerated_drop_rel:
        text += (
            f"; a drop of {limits.tolerated_drop_rel:.1%} would not be seen, "
            "so that a person has to keep it"
        )
    return text

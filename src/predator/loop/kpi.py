"""The loop's key figures (spec 6A): target, current value and trend, from what cycles came to.

What is not known is said, and never counts as good: a figure is met only where every cycle that
it stands on is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from predator.statistics.intervals import mean_interval, share_interval

DAY_S = 86_400.0
MONTH_S = 30 * DAY_S
LEAST_WINDOW_S = 7 * DAY_S
"""A shorter piece of a month is no month: it has no trend of its own."""


@dataclass(frozen=True, slots=True)
class CycleFact:
    """A cycle as the figures take it; times in unix s, what is not there (yet) ``None``.

    ``outcome``: empty while it is under way; ``success`` includes "no change". ``verdict_at``: when
    the gate had judged. ``live_at``: when its release went live; then ``ndcg_delta_rel`` and
    ``cost_delta_rel`` are relative to the release before it.
    """

    cycle_id: str
    requested_at: float
    outcome: str
    verdict_at: float | None = None
    ended_at: float | None = None
    live_at: float | None = None
    ndcg_delta_rel: float | None = None
    cost_delta_rel: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A figure's name, and the range that meets it; ``text`` is how the spec writes it."""

    name: str
    text: str
    least: float = -math.inf
    most: float = math.inf


TARGETS = (
    Target("cycles_per_month", "60–80", 60, 80),
    Target("success_share", "> 90%", least=0.9),
    Target("cycle_time_p95_s", "< 6 h", most=6 * 3_600),
    Target("rollback_share", "< 5%", most=0.05),
    Target("ndcg_delta_rel", "+2% to +5%", least=0.02),
    Target("cost_delta_rel", "−5% to −10%", most=-0.05),
)
"""More NDCG or less cost than asked meets the target, too."""
_COUNTED = frozenset({"cycles_per_month", "cycle_time_p95_s"})


@dataclass(frozen=True, slots=True)
class Kpi:
    """One figure: ``current`` over ``n`` cycles of the whole time, ``trend`` by 30 days.

    ``interval``: 95%, of a share (exact) or a mean (Student's t); ``None`` for other figures, and
    where one value alone says nothing of it.
    ``missing`` counts the cycles of which it is not known. ``met`` is ``None`` where the known ones
    meet the target and others are missing, or too few to show it, or where there are none.
    """

    name: str
    target: str
    current: float | None
    interval: tuple[float, float] | None
    n: int
    missing: int
    met: bool | None
    trend: tuple[float | None, ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def kpis(facts: Sequence[CycleFact], since: float, until: float) -> tuple[Kpi, ...]:
    """The figures of the cycles that were requested in ``[since, until)``.

    Raises ``ValueError`` where that is no time.
    """
    if not (math.isfinite(since) and math.isfinite(until) and since < until):
        raise ValueError(f"no figures from {since} to {until}")
    found = []
    for target in TARGETS:
        measure = _MEASURES[target.name]
        current, interval, n, missing = measure(facts, since, until, until)
        trend = tuple(
            measure(facts, start, min(start + MONTH_S, until), until)[0]
            if min(start + MONTH_S, until) - start >= LEAST_WINDOW_S
            else None
            for start in _months(since, until)
        )
        met = None if current is None else target.least <= current <= target.most
        if met and (missing or not _certain(target, interval)):
            met = None
        found.append(Kpi(target.name, target.text, current, interval, n, missing, met, trend))
    return tuple(found)


def _certain(target: Target, interval: tuple[float, float] | None) -> bool:
    """Whether what is known shows that the target is met; a count and a p95 are what they are."""
    if target.name in _COUNTED:
        return True
    return interval is not None and target.least <= interval[0] and interval[1] <= target.most


_Found = tuple[float | None, tuple[float, float] | None, int, int]
_Measure = Callable[[Sequence[CycleFact], float, float, float], _Found]


def _months(since: float, until: float) -> list[float]:
    return [since + n * MONTH_S for n in range(math.ceil((until - since) / MONTH_S))]


def _asked(facts: Sequence[CycleFact], since: float, until: float) -> list[CycleFact]:
    return [fact for fact in facts if since <= fact.requested_at < until]


def _live(facts: Sequence[CycleFact], since: float, until: float) -> list[CycleFact]:
    return [fact for fact in facts if fact.live_at is not None and since <= fact.live_at < until]


def _rate(facts: Sequence[CycleFact], since: float, until: float, _now: float) -> _Found:
    asked = _asked(facts, since, until)
    return len(asked) * MONTH_S / (until - since), None, len(asked), 0


def _success(facts: Sequence[CycleFact], since: float, until: float, _now: float) -> _Found:
    """Of those that have ended. One that is under way is not known, and not missing either."""
    ended = [fact for fact in _asked(facts, since, until) if fact.outcome]
    return *_share(sum(fact.outcome == "success" for fact in ended), len(ended)), len(ended), 0


def _time(facts: Sequence[CycleFact], since: float, until: float, now: float) -> _Found:
    """p95 from the signal to the gate's verdict; the experiment's wait is not in it. Without a
    verdict it lasts until the cycle ended, and if it has not, until now: who hangs is not fast."""
    lasted, missing = [], 0
    for fact in _asked(facts, since, until):
        end = fact.verdict_at if fact.verdict_at is not None else fact.ended_at
        if end is None and fact.outcome:
            missing += 1
        else:
            lasted.append((now if end is None else end) - fact.requested_at)
    lasted.sort()
    p95 = lasted[math.ceil(0.95 * len(lasted)) - 1] if lasted else None
    return p95, None, len(lasted), missing


def _rollbacks(facts: Sequence[CycleFact], since: float, until: float, _now: float) -> _Found:
    """Of the releases that went live, how many were taken back; one whose watch goes on may be."""
    live = _live(facts, since, until)
    known = [fact for fact in live if fact.outcome]
    back = sum(fact.outcome != "success" for fact in known)
    return *_share(back, len(known)), len(known), len(live) - len(known)


def _share(count: int, n: int) -> tuple[float | None, tuple[float, float] | None]:
    return (count / n, share_interval(count, n)) if n else (None, None)


def _mean_of(name: str) -> _Measure:
    def mean(facts: Sequence[CycleFact], since: float, until: float, _now: float) -> _Found:
        """Over the releases that went live and stayed."""
        kept = [fact for fact in _live(facts, since, until) if fact.outcome == "success"]
        values = [value for fact in kept if (value := getattr(fact, name)) is not None]
        mean = math.fsum(values) / len(values) if values else None
        return mean, mean_interval(values), len(values), len(kept) - len(values)

    return mean


_MEASURES: dict[str, _Measure] = {
    "cycles_per_month": _rate,
    "success_share": _success,
    "cycle_time_p95_s": _time,
    "rollback_share": _rollbacks,
    "ndcg_delta_rel": _mean_of("ndcg_delta_rel"),
    "cost_delta_rel": _mean_of("cost_delta_rel"),
}

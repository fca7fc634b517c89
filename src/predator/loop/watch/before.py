"""The baseline of a watch, taken *before* the change: what the old release gives its users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.statistics.clustered import Users
from predator.statistics.samples import finite_sample
from predator.statistics.watch_failures import failed_share
from predator.statistics.watch_sample import Level, level

CLICK_MRR, NDCG = "click_mrr", "ndcg_at_10"
Values = Sequence[float] | NDArray[np.float64]
LEAST_JUDGED = 100
"""Fewer judged searches than this are no baseline of NDCG@10."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One release's searches as columns, in the order in which they were served.

    ``users``, ``click_mrr`` (1 / topmost click, 0 without one), ``latency_ms`` and ``window`` (in
    the time after which look it fell, from 1) have one entry a search. Of those whose query is
    judged, ``judged_users`` and ``ndcg`` have one each. ``failed_users``: whose searches were not
    answered. What is not measured is empty. ``InputError`` or ``ValueError`` for columns of
    different lengths and for what is no latency or NDCG@10.
    """

    users: Users = ()
    click_mrr: Values = ()
    latency_ms: Values = ()
    window: Sequence[int] | NDArray[np.integer[Any]] = ()
    judged_users: Users = ()
    ndcg: Values = ()
    failed_users: Users = ()

    def __post_init__(self) -> None:
        columns = (self.click_mrr, self.latency_ms, self.window)
        if any(len(column) != len(self.users) for column in columns):
            raise InputError("the columns of an arm are not of one length")
        if len(self.judged_users) != len(self.ndcg):
            raise InputError("the judged searches of an arm are not of one length")
        ndcg = finite_sample("NDCG@10", self.ndcg, at_least=0)
        latency = finite_sample("latency", self.latency_ms, at_least=0)
        if (latency < 0.0).any() or (ndcg < 0.0).any() or (ndcg > 1.0).any():
            raise InputError("a latency or an NDCG@10 of an arm lies where none can")

    def of(self, metric: str) -> tuple[Users, Values]:
        """Users and values of a metric."""
        if metric == NDCG:
            return self.judged_users, self.ndcg
        return self.users, self.click_mrr


@dataclass(frozen=True, slots=True)
class Before:
    """What was measured: each metric's level by name, p95 latency, and the share that failed
    (by search or by user, whichever is larger)."""

    latency_p95_ms: float
    failed_share: float = 0.0
    metrics: Mapping[str, Level] = field(default_factory=dict)


def before(served: Arm) -> Before:
    """The baseline from what the release that is about to be replaced served.

    Raises ``ValueError`` without searches or without a single click: nothing could be watched.
    """
    if not len(served.users) or not any(served.click_mrr):
        raise ValueError("no clicks before the change, so there is nothing to compare with")
    metrics = {CLICK_MRR: level(served.users, served.click_mrr)}
    if len(served.ndcg) >= LEAST_JUDGED and any(served.ndcg):
        metrics[NDCG] = level(served.judged_users, served.ndcg)
    latency = p95(served.latency_ms)
    if latency is None:
        raise ValueError("no latency before the change, so there is nothing to compare with")
    return Before(latency, failed_share(served.users, served.failed_users), metrics)


def p95(values: Values) -> float | None:
    """The 95th percentile; ``None`` of nothing. ``ValueError`` for what is not finite."""
    ordered = np.sort(finite_sample("latency", values, at_least=0))
    return float(ordered[int(0.95 * (ordered.size - 1))]) if ordered.size else None

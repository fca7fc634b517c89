"""What an experiment measures, registered before it starts: each is a number a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from predator.ports.feedback import Impression
from predator.statistics.click_model import debiased_click_dcg, reciprocal_rank_of_first_click

PRIMARY = "click_mrr"
"""The reciprocal rank of the first click: NDCG is not observed live, clicks are."""


@dataclass(frozen=True, slots=True)
class Registered:
    """One metric. ``role``: ``primary`` decides, a ``guard`` must not get worse; ``better``:
    ``higher`` or ``lower``; ``limit`` says in words what holds."""

    name: str
    role: str
    better: str
    limit: str


_NO_LOSS = "no loss shown at 5%, one-sided"
METRICS: tuple[Registered, ...] = (
    Registered(PRIMARY, "primary", "higher", "evidence of a gain"),
    Registered("click_ndcg", "guard", "higher", _NO_LOSS),
    Registered("success", "guard", "higher", _NO_LOSS),
    Registered("abandonment", "guard", "lower", _NO_LOSS),
    Registered("csat", "guard", "higher", "no lower than asked, or than a baseline that is lower"),
    Registered("latency_p95_ms", "guard", "lower", "no slower than the contour allows"),
    Registered("failed_share", "guard", "lower", "no more than the baseline, or one in a hundred"),
    Registered("cost_per_1k_usd", "guard", "lower", "no dearer than the contour allows"),
)

_VALUE: Mapping[str, Callable[[Impression], float]] = {
    PRIMARY: lambda i: reciprocal_rank_of_first_click(i.clicks),
    # The DCG of one relevant document on top is 1, so that this is the NDCG of such searches; a
    # constant number of relevant documents cancels in a relative difference.
    "click_ndcg": lambda i: debiased_click_dcg(i.clicks),
    "success": lambda i: float(bool(i.clicks)),
    "abandonment": lambda i: float(not i.clicks and i.rating is None),
}
CLICK_METRICS = tuple(_VALUE)
"""Those that follow from what came of a search alone."""


def value_of(metric: str, impression: Impression) -> float:
    """The metric of one search; ``ValueError`` for clicks that cannot be."""
    return _VALUE[metric](impression)

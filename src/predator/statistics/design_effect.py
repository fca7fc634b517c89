"""How much less many searches of few users tell than as many users would."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from predator.statistics.samples import finite_sample

_STEPS = 60


@dataclass(frozen=True, slots=True)
class Clustering:
    """What traffic says of its users.

    ``icc``: the share of the metric's variance that lies between users, 0 to 1 (intraclass
    correlation); 0 where no user searched twice. ``population``: how many users there are in all,
    seen or not, if all search alike; ``None`` where nobody came twice, so that there is no end.
    """

    icc: float
    users: int
    searches: int
    population: float | None

    def design_effect(self, searches: float) -> float:
        """How many times more variance ``searches`` of these users have than independent ones.

        ``1 + icc (m - 1)`` with m the searches of the user of an average search (Kish 1965); for
        Poisson counts m - 1 is the mean searches of a user.
        """
        if self.population is None:
            return 1.0
        return 1.0 + self.icc * searches / self.population

    def searches_for(self, independent: float) -> float:
        """How many searches of these users weigh as much as ``independent`` ones.

        Infinite where all of their users, whatever they search, weigh less.
        """
        if self.population is None:
            return independent
        left = 1.0 - self.icc * independent / self.population
        return independent / left if left > 0.0 else math.inf

    def users_for(self, searches: float) -> float:
        """How many different users so many searches come from."""
        if self.population is None:
            return searches
        return self.population * -math.expm1(-searches / self.population)


def clustering(users: Sequence[Hashable], values: ArrayLike) -> Clustering:
    """Measure traffic: one value a search, ``users`` says whose.

    ``icc`` by analysis of variance with unequal cluster sizes (Donner 1986, International
    Statistical Review 54), never below 0. Raises ``ValueError`` for unequal lengths, fewer than
    two users and values that are not finite.
    """
    sample = finite_sample("the metric", values)
    if len(users) != sample.size:
        raise ValueError(f"{len(users)} users for {sample.size} values")
    numbers: dict[Hashable, int] = {}
    codes = np.fromiter((numbers.setdefault(u, len(numbers)) for u in users), np.intp, sample.size)
    clusters, n = len(numbers), int(sample.size)
    if clusters < 2:
        raise ValueError(f"{clusters} user, at least 2 needed")
    if clusters == n:
        return Clustering(0.0, clusters, n, None)
    counts = np.bincount(codes).astype(np.float64)
    means = np.bincount(codes, weights=sample) / counts
    between = float(counts @ (means - sample.mean()) ** 2) / (clusters - 1)
    within = float(((sample - means[codes]) ** 2).sum()) / (n - clusters)
    typical = (n - float(counts @ counts) / n) / (clusters - 1)
    total = between + (typical - 1.0) * within
    icc = min(1.0, max(0.0, (between - within) / total)) if total > 0.0 else 0.0
    return Clustering(icc, clusters, n, _population(clusters, n))


def _population(seen: int, searches: int) -> float:
    """N with ``N (1 - exp(-searches / N)) = seen``: how many users make so many come again."""
    low, high = float(seen), 1e12
    for _ in range(_STEPS * 2):
        middle = math.sqrt(low * high)
        low, high = (
            (middle, high) if -middle * math.expm1(-searches / middle) < seen else (low, middle)
        )
    return high

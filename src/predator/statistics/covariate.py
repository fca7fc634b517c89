"""What users were like before the start, and how much of an experiment's noise that explains."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from predator.statistics.samples import finite_sample

LEAST_USERS = 100
"""With fewer who came before and again, a correlation is a guess."""


@dataclass(frozen=True, slots=True)
class Covariate:
    """``rho``: correlation over users of their mean in the first and in the second half of the
    history; ``None`` where fewer than :data:`LEAST_USERS` were in both. ``users``: who was in both.
    """

    rho: float | None
    users: int

    @property
    def variance_reduction(self) -> float:
        """The share of the variance that CUPED takes off these users: ρ² (Deng et al. 2013)."""
        return self.rho**2 if self.rho is not None and self.rho > 0.0 else 0.0


def covariate(users: Sequence[Hashable], values: ArrayLike) -> Covariate:
    """Measure it on a history, oldest first, one value a search.

    Raises ``ValueError`` for unequal lengths and values that are not finite.
    """
    sample = finite_sample("the metric", values, at_least=0)
    if len(users) != sample.size:
        raise ValueError(f"{len(users)} users for {sample.size} values")
    middle = sample.size // 2
    first = means_by_user(users[:middle], sample[:middle])
    second = means_by_user(users[middle:], sample[middle:])
    both = [user for user in first if user in second]
    if len(both) < LEAST_USERS:
        return Covariate(None, len(both))
    x = np.array([first[user] for user in both])
    y = np.array([second[user] for user in both])
    if x.std() <= 0.0 or y.std() <= 0.0:
        return Covariate(None, len(both))
    return Covariate(float(np.corrcoef(x, y)[0, 1]), len(both))


def means_by_user(users: Sequence[Hashable], values: ArrayLike) -> Mapping[Hashable, float]:
    """The mean value of each user's searches."""
    sums: dict[Hashable, float] = {}
    counts: dict[Hashable, int] = {}
    for user, value in zip(users, np.asarray(values, dtype=np.float64).tolist(), strict=True):
        sums[user] = sums.get(user, 0.0) + value
        counts[user] = counts.get(user, 0) + 1
    return {user: total / counts[user] for user, total in sums.items()}

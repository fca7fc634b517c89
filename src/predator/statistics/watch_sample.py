"""What a metric looks like before a change: its level, its spread, and how alike users are."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from predator.statistics.clustered import Users
from predator.statistics.samples import finite_sample


@dataclass(frozen=True, slots=True)
class Level:
    """A metric of single searches: ``mean``, ``sd`` of one search, ``n`` searches by ``users``.

    ``design_effect``: how many times larger the variance of the mean is than if each search came
    from a user of its own (at least 1: what few data say to the contrary is luck). ``user_mean``:
    the mean of the users' own means, another number where those who search much find more, or
    less, than the others; ``None`` in records from before it was taken.
    """

    mean: float
    sd: float
    n: int
    users: int
    design_effect: float
    user_mean: float | None = None


def level(users: Users, values: ArrayLike) -> Level:
    """The level of ``values`` (n,), one a search, made by ``users`` (n,).

    The variance of the mean comes from the delta method over users (Deng et al. 2018, KDD), as in
    ``clustered_difference``. Raises ``ValueError`` for fewer than two users and for values that
    are not finite.
    """
    sample = finite_sample("values", values)
    if len(users) != sample.size:
        raise ValueError(f"{len(users)} users for {sample.size} values")
    numbers: dict[Hashable, int] = {}
    codes = np.fromiter((numbers.setdefault(u, len(numbers)) for u in users), np.intp, sample.size)
    clusters = len(numbers)
    if clusters < 2:
        raise ValueError(f"{clusters} user, at least 2 needed")
    mean, sd = float(sample.mean()), float(sample.std(ddof=1))
    sums = np.bincount(codes, weights=sample - mean, minlength=clusters)
    clustered = clusters / (clusters - 1) * float(sums @ sums)
    independent = sample.size * sd**2
    effect = max(1.0, clustered / independent) if independent > 0.0 else 1.0
    own = np.bincount(codes, weights=sample) / np.bincount(codes)
    return Level(mean, sd, int(sample.size), clusters, effect, float(own.mean()))

"""The Gold queries: the same questions each time, so that their quirks are shared by cycles."""

from __future__ import annotations

import numpy as np

from predator.simulation.year.world import DAY_S, Floats, Release, World

QUERIES = 1_000
RENEWED_S = 30 * DAY_S
"""How often people judge the questions anew: until then Gold speaks the older language."""
SHARED = 0.87
"""Share of the variance between queries that every release has in common: some are just hard."""
SPREAD_REL = 0.18
"""Of one query's relative gain; it follows from ``SHARED``, and is that of real collections."""


class Gold:
    """Scores of a release on the Gold queries, NDCG@10 by query."""

    def __init__(self, seed: int, world: World) -> None:
        self._world, self._seed = world, seed
        rng = np.random.default_rng([seed, 2])
        self._topic = rng.choice(world.mix(world.began).size, QUERIES, p=world.mix(world.began))
        self._hard = rng.standard_normal(QUERIES)
        self.categories = [f"topic-{number}" for number in self._topic]

    def renewed(self, at: float) -> float:
        """When the questions that are read at ``at`` were judged."""
        since = (at - self._world.began) // RENEWED_S
        return float(self._world.began + since * RENEWED_S)

    def scores(self, release: Release, at: float) -> Floats:
        """Between 0 and 1, with the mean of the release's topic; the same release the same quirks.

        Each query's score is uniform around its topic's mean, as wide as [0, 1] allows, at a
        quantile that mixes the query's own difficulty with the luck of this release on it.
        """
        from scipy.special import ndtr

        judged = self.renewed(at)
        mean = (self._world.by_topic(release, judged) + release.flattered)[self._topic]
        mean = np.clip(mean, 0.02, 0.98)
        luck = np.random.default_rng([self._seed, 2, *release.cycle.encode()])
        mixed = np.sqrt(SHARED) * self._hard + np.sqrt(1 - SHARED) * luck.standard_normal(QUERIES)
        found: Floats = mean + (2 * ndtr(mixed) - 1) * np.minimum(mean, 1 - mean)
        return found

"""Trainable: how candidates are fused. Cheap, and on some collections worth more than a model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Judgments
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example
from predator.learning.measures import score
from predator.search.index import Index

DENSE_WEIGHTS = tuple(i / 10 for i in range(11))
TITLE_BOOSTS = (0.0, 0.3, 1.0)


GRID = (
    RetrievalParameters(fusion="rrf"),
    *(
        RetrievalParameters(fusion="weighted", dense_weight=weight, title_boost=boost)
        for boost, weight in product(TITLE_BOOSTS, DENSE_WEIGHTS)
    ),
)
"""Every setting tried, simplest first: ties go to the earlier one."""


def rank_with(
    index: Index, examples: Sequence[Example], parameters: RetrievalParameters, k: int = 20
) -> dict[str, list[str]]:
    """The first ``k`` document ids of each example under other fusion parameters."""
    return {
        example.query.id: example.ids(index, example.best(parameters, k)) for example in examples
    }


def score_grid(
    index: Index, examples: Sequence[Example], judgments: Judgments
) -> NDArray[np.float64]:
    """NDCG@10 of every setting on every example, [settings, examples], the same candidates."""
    judged = {example.query.id: judgments[example.query.id] for example in examples}
    return np.stack(
        [
            score(judged, rank_with(index, examples, setting, 10), ("nDCG@10",)).ndcg
            for setting in GRID
        ]
    )


def best_setting(grid: NDArray[np.float64]) -> RetrievalParameters:
    """The setting with the highest mean over the examples (columns) given."""
    means = np.round(grid.mean(axis=1), 9)
    return GRID[int(np.argmax(means))]

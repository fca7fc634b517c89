"""Pairs as tokens, and which of them each step of a training sees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from predator.learning.pair_network import TokenPair
from predator.learning.pairs import Pair
from predator.search.cross_encoder import PairTokens

BUCKET = 16
"""Batches whose pairs are sorted by length together, so that little of a batch is padding."""


def read_pairs(tokens: PairTokens, pairs: Sequence[Pair]) -> list[TokenPair]:
    """The pairs as the model will read them at serving."""
    found = []
    for pair in pairs:
        encoding = tokens(pair.query, pair.document)
        found.append(TokenPair(encoding.ids, encoding.type_ids.index(1)))
    return found


def chosen(lengths: NDArray[np.int64], batch: int, seed: int, step: int) -> list[int]:
    """The pairs of a step, which depend on its number and the seed alone.

    Each epoch is another order; within it batches are of similar ``lengths``, in random order.
    """
    steps = -(-len(lengths) // batch)
    epoch, place = divmod(step, steps)
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    batches: list[list[int]] = []
    for start in range(0, len(order), BUCKET * batch):
        bucket = order[start : start + BUCKET * batch]
        bucket = bucket[np.argsort(lengths[bucket], kind="stable")]
        batches += [bucket[i : i + batch].tolist() for i in range(0, len(bucket), batch)]
    return batches[int(rng.permutation(steps)[place])]

"""Every pair comes once an epoch, in batches that hardly need padding."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.learning.pair_batches import chosen, read_pairs
from predator.learning.pairs import Pair
from predator.search.cross_encoder import PairTokens
from tests.search.encoder.tiny import tiny_tokenizer


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 90), st.integers(1, 12), st.integers(0, 5), st.integers(0, 3))
def test_every_pair_comes_once_an_epoch(count: int, batch: int, seed: int, epoch: int) -> None:
    lengths = np.random.default_rng(seed).integers(3, 128, count)
    steps = -(-count // batch)
    seen = [chosen(lengths, batch, seed, epoch * steps + place) for place in range(steps)]
    assert sorted(pair for part in seen for pair in part) == list(range(count))
    assert all(len(part) <= batch for part in seen)
    assert seen == [chosen(lengths, batch, seed, epoch * steps + p) for p in range(steps)]


def test_epochs_differ_and_batches_are_of_similar_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 128, 640)
    first, second = ([chosen(lengths, 32, 0, 20 * e + s) for s in range(20)] for e in (0, 1))
    assert sorted(map(sorted, first)) != sorted(map(sorted, second))
    width = np.mean([lengths[part].max() - lengths[part].min() for part in first])
    assert width < 0.2 * (lengths.max() - lengths.min())


def test_a_pair_is_read_as_at_serving() -> None:
    tokens = PairTokens(tiny_tokenizer().encode(), 12, 4)
    (read,) = read_pairs(tokens, [Pair("read table", "file", 1.0)])
    encoding = tokens("read table", "file")
    assert read.ids == encoding.ids
    assert encoding.type_ids[: read.first] == [0] * read.first
    assert set(encoding.type_ids[read.first :]) == {1}

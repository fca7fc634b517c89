"""A change of language is told apart from the noise of small samples."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from predator.statistics.divergence import jensen_shannon, shift

counts = st.dictionaries(st.text(max_size=3), st.integers(0, 50), min_size=1, max_size=12).filter(
    lambda c: any(c.values())
)


def zipf_sample(rng: np.random.Generator, vocabulary: int, size: int) -> dict[str, int]:
    shares = 1 / np.arange(1, vocabulary + 1)
    drawn = rng.multinomial(size, shares / shares.sum())
    return {f"token-{n}": int(count) for n, count in enumerate(drawn) if count}


@settings(deadline=None)
@given(counts, counts)
def test_it_is_scipys_and_symmetric_and_between_0_and_1(
    before: dict[str, int], after: dict[str, int]
) -> None:
    tokens = sorted(set(before) | set(after))
    p, q = ([float(side.get(t, 0)) for t in tokens] for side in (before, after))
    js = jensen_shannon(before, after)
    assert 0.0 <= js <= 1.0
    assert js == pytest.approx(jensen_shannon(after, before), abs=1e-12)
    expected = float(jensenshannon(p, q, base=2))
    assert js == pytest.approx(0.0 if math.isnan(expected) else expected**2, abs=1e-9)


@settings(deadline=None)
@given(counts)
def test_a_text_does_not_differ_from_itself_at_any_size(before: dict[str, int]) -> None:
    assert jensen_shannon(before, {t: 3 * c for t, c in before.items()}) == pytest.approx(0.0)


def test_texts_with_nothing_in_common_are_one_bit_apart() -> None:
    assert jensen_shannon({"a": 3, "b": 1}, {"c": 2}) == pytest.approx(1.0)


def test_two_samples_of_one_language_are_rarely_called_a_shift() -> None:
    rng = np.random.default_rng(1)
    called = [
        shift(zipf_sample(rng, 400, 900), zipf_sample(rng, 400, 700), rng, 60).significant
        for _ in range(400)
    ]
    assert 0.02 <= np.mean(called) <= 0.09


def test_new_vocabulary_is_a_shift_far_above_the_noise() -> None:
    rng = np.random.default_rng(2)
    before, after = zipf_sample(rng, 2000, 20_000), zipf_sample(rng, 2000, 16_000)
    news = {f"new-{n}": 20 for n in range(200)}
    found = shift(before, {**after, **news}, rng)
    assert found.significant and found.js > 3 * found.noise_p95
    assert shift(before, {**after, **news}, np.random.default_rng(3)).js == found.js


def test_a_vocabulary_of_fifty_thousand_tokens_takes_about_a_second() -> None:
    rng = np.random.default_rng(4)
    before, after = zipf_sample(rng, 50_000, 300_000), zipf_sample(rng, 50_000, 300_000)
    started = time.process_time()
    found = shift(before, after, rng)
    assert time.process_time() - started < 5.0
    # Identical sources, yet far from 0: the raw divergence of sparse counts says little.
    assert found.js > 0.05
    assert found.js == pytest.approx(found.noise_p95, rel=0.05)


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ({}, {"a": 1}, "before: no tokens"),
        ({"a": 1}, {"a": 0}, "after: no tokens"),
        ({"a": 1}, {"a": -1}, "negative"),
    ],
)
def test_nothing_to_compare_is_an_error(
    before: dict[str, int], after: dict[str, int], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        shift(before, after, np.random.default_rng(0))


def test_too_much_and_too_little_are_refused() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="rounds"):
        shift({"a": 1}, {"a": 1}, rng, rounds=0)
    with pytest.raises(ValueError, match="sample the documents"):
        shift({"a": 10**9}, {"a": 1}, rng)

"""A person sees which words made an encoder find two texts alike."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.learning.occlusion import MOST_WORDS, explain


def letters(texts: Sequence[str]) -> NDArray[np.float32]:
    """Counts of letters, of unit length."""
    vectors = np.zeros((len(texts), 26), np.float32)
    for row, text in enumerate(texts):
        for letter in text.lower():
            if "a" <= letter <= "z":
                vectors[row, ord(letter) - 97] += 1
    unit: NDArray[np.float32] = vectors / np.maximum(
        np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9
    )
    return unit


def test_the_word_that_both_texts_share_adds_most_and_a_foreign_one_takes_away() -> None:
    cosine, words = explain(letters, "aaaa zzzz", "aaaa bbb")
    assert cosine == pytest.approx(4 / 5 / 2**0.5, abs=1e-6)
    shared, foreign = words
    assert (shared.word, foreign.word) == ("aaaa", "zzzz")
    assert shared.cosine_delta == pytest.approx(cosine, abs=1e-6)
    assert foreign.cosine_delta < 0


def test_the_same_word_twice_is_two_words_in_their_order() -> None:
    _, words = explain(letters, "one two one", "one")
    assert [word.word for word in words] == ["one", "two", "one"]


@pytest.mark.parametrize("query", ["", "   ", "?!"])
def test_a_query_without_words_has_nothing_to_explain(query: str) -> None:
    assert explain(letters, query, "text")[1] == []


def test_a_query_of_a_thousand_words_costs_only_its_beginning() -> None:
    asked: list[int] = []

    def counted(texts: Sequence[str]) -> NDArray[np.float32]:
        asked.append(len(texts))
        return letters(texts)

    assert len(explain(counted, "word " * 1000, "text")[1]) == MOST_WORDS
    assert asked == [MOST_WORDS + 2]

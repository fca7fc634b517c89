"""Why an encoder finds two texts alike: what each word adds to their cosine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_WORDS = 48
"""Words of a text that are taken out in turn, from its beginning: a forward pass each."""

_WORD = re.compile(r"\w+(?:[-'.]\w+)*")

Encode = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Contribution:
    """``cosine_delta``: how much the cosine falls when ``word`` goes; below zero where it rises."""

    word: str
    cosine_delta: float


def explain(encode: Encode, query: str, document: str) -> tuple[float, list[Contribution]]:
    """The cosine of two texts, and what each word of ``query``, in order, adds to it.

    Occlusion (Zeiler and Fergus 2014; Li et al. 2016 for words): a word is taken out, the rest is
    encoded anew. Contributions do not add up to the cosine, for words act together. ``encode``
    gives vectors of unit length; empty where the query holds no word. Swap the arguments to
    explain the document's words.
    """
    words, without = words_of(query, MOST_WORDS)
    vectors = encode([document, query, *without])
    cosines = vectors[1:] @ vectors[0]
    whole = float(cosines[0])
    return whole, [
        Contribution(word, whole - float(cosine))
        for word, cosine in zip(words, cosines[1:], strict=True)
    ]


def words_of(text: str, most: int) -> tuple[list[str], list[str]]:
    """The first ``most`` words of ``text``, and for each the text without it."""
    found = list(_WORD.finditer(text))[:most]
    return (
        [word.group() for word in found],
        [text[: word.start()] + text[word.end() :] for word in found],
    )

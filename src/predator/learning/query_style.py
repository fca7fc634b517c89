"""How long queries are and how many of their words are common ones: learnt from real queries.

A generated query borrows both from a real one drawn at random, so that a learner does not meet
whole sentences where users type three words. Where no real query is known nothing is assumed:
lengths are even, and every second query keeps its common words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from predator.learning.query_text import EDGES
from predator.search.analyze import terms

COMMON_SHARE = 0.1
"""A term of more than this share of the documents is common: it tells fewer than ten apart."""
UNKNOWN_LENGTHS = (3, 12)
"""Fewest and most words where no real query is known: from web queries (about 3 words, Jansen et
al. 2000) to questions in full sentences (TREC descriptions, about 12)."""
LEARNT_FROM = 5000
"""Real queries that are looked at; more do not change a distribution of lengths."""

_WORD = re.compile(r"\S*\w\S*")

Frequency = Callable[[str], float]
"""The share of documents that hold a term, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Template:
    """One query's shape: its words, and the share of common ones (``None``: as the text has)."""

    length: int
    common: float | None


class Style:
    """Draws shapes of queries, and brings words into one."""

    def __init__(self, like: Sequence[str], share: Frequency) -> None:
        """``like`` are real queries, none of them Gold; ``share`` knows the documents' terms."""
        self._share = share
        self._known = [
            Template(len(words), sum(map(self.is_common, words)) / len(words))
            for query in like[:LEARNT_FROM]
            if (words := _WORD.findall(query[:1000]))
        ]

    def draw(self, rng: np.random.Generator) -> Template:
        """The shape of a real query, or an even one where none is known."""
        if self._known:
            return self._known[int(rng.integers(len(self._known)))]
        low, high = UNKNOWN_LENGTHS
        return Template(int(rng.integers(low, high + 1)), (None, 0.0)[int(rng.integers(2))])

    def shaped(self, words: Sequence[str], shape: Template, rng: np.random.Generator) -> list[str]:
        """At most ``shape.length`` of ``words``, in their order.

        Neighbours, where the text is about as rich in common words as the shape; otherwise common
        and telling words are dropped separately, telling ones by chance in favour of rare ones.
        """
        common = np.asarray([self.is_common(word) for word in words], bool)
        if not len(words):
            return []
        if shape.common is None or shape.common >= common.mean() - 1 / len(words):
            if len(words) <= shape.length:
                return list(words)
            first = int(rng.integers(len(words) - shape.length + 1))
            return list(words[first : first + shape.length])
        length = min(shape.length, len(words))
        telling = min(length - round(length * shape.common), int((~common).sum()))
        weights = np.asarray([self.weight(word) for word in words])
        # The largest of weight^(1/u): sampling without replacement (Efraimidis, Spirakis 2006).
        keys = rng.random(len(words)) ** (1 / np.maximum(weights, 1e-9))
        chosen = np.argsort(np.where(common, -1.0, keys), kind="stable")[::-1][:telling]
        spare = np.flatnonzero(common)
        filler = rng.permutation(spare)[: round(length * shape.common)]
        return [words[i] for i in sorted({*chosen.tolist(), *filler.tolist()})]

    def weight(self, word: str) -> float:
        """How much a word tells: −log of the share of documents of its rarest term (idf)."""
        shares = [self._share(term) for term in _terms_of(word)]
        return float(-np.log(max(min(shares), 1e-6))) if shares else 0.0

    def is_common(self, word: str) -> bool:
        """Whether all terms of ``word`` stand in many documents, or it has none."""
        return all(self._share(term) > COMMON_SHARE for term in _terms_of(word))


def split_words(text: str) -> list[str]:
    """The words of ``text`` as they are written; what holds no letter or digit is none."""
    return [word.strip(EDGES) for word in _WORD.findall(text)]


@lru_cache(maxsize=100_000)
def _terms_of(word: str) -> tuple[str, ...]:
    return tuple(terms(word[:100]))

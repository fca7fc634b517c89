"""Which generated queries are worth learning from, with a count of what each filter dropped.

What asks for too little, for what another asks already, or in the words that too many others
begin with. (That no Gold question leaks in is :mod:`predator.learning.leakage`; that a query finds
its source again is seen in training, where there is an index.)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from predator.learning.leakage import near_marks, signature
from predator.search.analyze import terms

LEAST_TERMS = 2
"""One term alone asks for a list of documents, not for the one that it was made from."""
NEAR = 0.8
"""Jaccard similarity of terms from which two queries teach the same: what is usual for training
data (Broder 1997; Lee et al. 2022). Gold questions are kept further away."""
EVEN_SHARES = 2
"""Most queries of one document, in even shares: others may have to stand in for documents that
hold little, and none teaches alone."""
OPENING_SHARE = 0.05
"""Most queries that may begin with the same two terms, where no real queries say how many do: a
style shared by more than one in twenty is the method's, not the users'."""
OPENINGS_ALWAYS = 3
"""Queries that may begin alike however few are wanted: fewer are no pattern."""

FILTERS = (
    "empty_document", "too_short", "leak", "duplicate", "near_duplicate", "repetitive",
    "document_cap", "opening_cap", "used_up",
)  # fmt: skip
"""What can drop a document or a query. (``used_up``: too little of its source would be left.)"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Most kept queries that one document, and one opening, may have."""

    per_document: int
    per_opening: int

    @classmethod
    def of(cls, count: int, documents: int, like: Sequence[str] = ()) -> Limits:
        """For ``count`` queries from so many documents; real queries ``like`` set the openings."""
        openings = Counter(filter(None, map(_opening, like)))
        # Less the first: an opening that stands once is no pattern, however few the queries.
        known = (max(openings.values(), default=1) - 1) / max(1, len(like))
        share = max(OPENING_SHARE, known)
        return cls(
            math.ceil(EVEN_SHARES * count / max(1, documents)),
            max(OPENINGS_ALWAYS, math.ceil(share * count)),
        )


def leaks(queries: Sequence[str], marks: Sequence[str]) -> list[bool]:
    """For each query whether it asks what a Gold question asks, by its ``gold_marks``."""
    found: list[bool] = near_marks(queries, marks).tolist() if marks else [False] * len(queries)
    return found


class Sieve:
    """Lets queries through one by one; ``dropped`` counts the others, by :data:`FILTERS`.

    ``marks`` are the Gold questions' :func:`~predator.learning.leakage.gold_marks`.
    """

    def __init__(self, limits: Limits, marks: Sequence[str] = ()) -> None:
        self.dropped: Counter[str] = Counter(dict.fromkeys(FILTERS, 0))
        self._limits, self._marks = limits, marks
        self._near = _Near()
        self._pairs: set[tuple[str, str]] = set()
        self._documents: Counter[str] = Counter()
        self._openings: Counter[tuple[str, ...] | None] = Counter()

    def clean(self, queries: Sequence[str]) -> list[bool]:
        """For each query whether it says enough and leaks nothing; the others are counted."""
        long = [len(set(terms(query))) >= LEAST_TERMS for query in queries]
        leaking = leaks(queries, self._marks)
        self.dropped["too_short"] += long.count(False)
        self.dropped["leak"] += sum(a and b for a, b in zip(long, leaking, strict=True))
        return [a and not b for a, b in zip(long, leaking, strict=True)]

    def offer(self, query: str, document_id: str) -> bool:
        """Whether a clean query is kept; what is kept counts against those that follow."""
        words = terms(query)
        opening, pairs = _opening(query), set(pairwise(words))
        content = signature(query)
        nearest = self._near.similarity(content)
        why = (
            "duplicate" if nearest == 1.0
            else "near_duplicate" if nearest >= NEAR
            else "repetitive" if pairs <= self._pairs
            else "document_cap" if self._documents[document_id] >= self._limits.per_document
            else "opening_cap" if self._openings[opening] >= self._limits.per_opening
            else ""
        )  # fmt: skip
        if why:
            self.dropped[why] += 1
            return False
        self._near.add(content)
        self._pairs |= pairs
        self._documents[document_id] += 1
        self._openings[opening] += 1
        return True


def diversity(queries: Sequence[str]) -> float:
    """Distinct-2: the share of distinct word pairs among all (Li et al. 2016), 0 to 1."""
    words = [terms(query) for query in queries]
    pairs = [pair for one in words for pair in pairwise(one)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _opening(query: str) -> tuple[str, ...] | None:
    words = terms(query[:200])
    return tuple(words[:2]) if len(words) > 1 else None


class _Near:
    """A growing set of term sets that finds the one most similar to another, exactly.

    Of two sets with Jaccard ≥ t the first ``|x| - ceil(t |x|) + 1`` terms of each share one, in
    whatever order all agree on (Chaudhuri et al., ICDE 2006). Long terms first: they are the rare
    ones, by and large (Zipf 1935), so that few sets are looked at.
    """

    def __init__(self) -> None:
        self._sets: list[frozenset[str]] = []
        self._index: dict[str, list[int]] = {}

    def add(self, one: frozenset[str]) -> None:
        for term in _prefix(one):
            self._index.setdefault(term, []).append(len(self._sets))
        self._sets.append(one)

    def similarity(self, one: frozenset[str]) -> float:
        """The highest Jaccard similarity to a set that is known, 0 where it is under ``NEAR``."""
        places = {i for term in _prefix(one) for i in self._index.get(term, ())}
        best = max((_jaccard(one, self._sets[i]) for i in places), default=0.0)
        return best if best >= NEAR else 0.0


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def _prefix(one: frozenset[str]) -> list[str]:
    length = len(one) - math.ceil(NEAR * len(one) - 1e-9) + 1
    return sorted(one, key=lambda term: (-len(term), term))[:length]

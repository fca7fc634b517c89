"""Leakage: questions that say what a Gold question says must not be learnt from.

For whoever builds training data (judged, generated or click-derived rows alike)::

    near_duplicates(queries: Sequence[str], gold_queries: Sequence[str]) -> NDArray[np.bool_]

is ``True`` for each query that is a copy or a near-copy of a Gold question: drop those rows.
Where Gold texts must not lie beside training data, ``gold_marks`` turns them into hashed terms
(one string each) and ``near_marks`` is the same filter on those.

Two questions are near-duplicates where the Jaccard similarity of their content terms (analysed
as the index does, without function words) is at least :data:`NEAR`. It is computed exactly, by
a set-similarity join with prefix filtering (Chaudhuri et al., ICDE 2006), not by MinHash: a
Gold set is small, and a sketch that misses a copy would be a hole.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from predator.domain.canonical import sha256_hex
from predator.search.analyze import terms

NEAR = 0.7
"""Jaccard similarity from which two questions count as one.

It holds where one content term of six is exchanged (5/7), one is added to three (3/4), or two
are added to five (5/7): a typing variant, a synonym, a qualifier. It does not hold where one of
two or three is another ("capital of France", "capital of Spain": 1/3). It errs to the strict
side of the 0.8 that is usual for documents (Broder 1997; Lee et al. 2022), because questions
are short and the two errors are not alike: a wrong hit costs one training row, a wrong miss
lets the gate measure memory."""

_ENGLISH = """
a an the this that these those of in on at to for from by with about into over under as and or
is are was were be been being am do does did can could will would shall should may might must
has have had it its i me my we our you your he she they them their there what which who whom
whose when where why how
"""
_CYRILLIC = """
в у на з із зі до від для по про за при через над під між і й та або чи що як де коли чому хто
який яка яке які це цей ця ці є був була було були бути його її їх
с со из от к ко о об и или что как где когда почему кто какой какая какое какие это этот эта эти
был была было были быть его ее их
"""
# Negations are not among them: "is" and "is not" ask for different things. Both still count
# as near where enough else is the same, as they should: they are answered by the same texts.

_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
"""Scripts whose words are not set apart (Thai, Chinese, Japanese) or stick together (Korean)."""


def near_duplicates(queries: Sequence[str], gold_queries: Sequence[str]) -> NDArray[np.bool_]:
    """A mask [queries]: ``True`` where a query is a copy or near-copy of a Gold question."""
    return np.asarray(nearest(queries, gold_queries), np.int64) >= 0


def nearest(queries: Sequence[str], gold_queries: Sequence[str]) -> list[int]:
    """For each query the position of the Gold question that is nearest to it, or -1 for none."""
    return _join([signature(q) for q in queries], [signature(q) for q in gold_queries])


def near_pairs(queries: Sequence[str]) -> list[tuple[int, int]]:
    """Each pair ``(i, j)``, ``i < j``, of queries that are near-duplicates of one another."""
    signatures = [signature(query) for query in queries]
    join = _Join(signatures)
    return [
        (j, i) for i, one in enumerate(signatures) for j, _ in join.near(one) if j < i
    ]  # fmt: skip


def gold_marks(gold_queries: Iterable[str]) -> list[str]:
    """One string of hashed terms a Gold question, in order of the hashes: no text in it."""
    return sorted(" ".join(sorted(_hashed(signature(query)))) for query in gold_queries)


def near_marks(queries: Sequence[str], marks: Iterable[str]) -> NDArray[np.bool_]:
    """:func:`near_duplicates` against what :func:`gold_marks` made of the Gold questions."""
    gold = [frozenset(mark.split()) for mark in marks]
    hashed = [_hashed(signature(query)) for query in queries]
    return np.asarray(_join(hashed, [one for one in gold if one]), np.int64) >= 0


def signature(query: str) -> frozenset[str]:
    """The content terms of a query, never empty: of function words alone, those; else the text.

    Character pairs stand for words in scripts that do not set words apart.
    """
    text = unicodedata.normalize("NFKC", query)
    spaced = _UNSPACED.sub(" ", text)
    pairs = {run[i : i + 2] for run in _UNSPACED.findall(text) for i in range(max(1, len(run) - 1))}
    words = frozenset(terms(spaced))
    content = words - _function_terms(_ENGLISH)
    if any("\u0400" <= letter <= "\u04ff" for letter in spaced):
        content -= _function_terms(_CYRILLIC)
    return content | pairs or words or frozenset({f"={text.strip().casefold()}"})


@cache
def _function_terms(listed: str) -> frozenset[str]:
    """Each list for itself: the lemmatiser of Cyrillic takes seconds to load."""
    return frozenset(terms(listed))


def _hashed(signature: frozenset[str]) -> frozenset[str]:
    return frozenset(
        sha256_hex(term.encode("utf-8", "surrogatepass"))[:16] for term in signature
    )  # fmt: skip


def _join(queries: Sequence[frozenset[str]], gold: Sequence[frozenset[str]]) -> list[int]:
    join = _Join(gold)
    found = []
    for one in queries:
        near = join.near(one)
        found.append(min(near, key=lambda hit: (-hit[1], hit[0]))[0] if near else -1)
    return found


class _Join:
    """Finds the sets that are near to a given one.

    Of two sets with Jaccard ≥ t, the rarest ``|x| - ceil(t |x|) + 1`` terms of each must share
    one, whatever the common order of rarity: only those are indexed and looked up.
    """

    def __init__(self, sets: Sequence[frozenset[str]]) -> None:
        self._sets = sets
        self._often: Mapping[str, int] = Counter(term for one in sets for term in one)
        self._index: dict[str, list[int]] = {}
        for i, one in enumerate(sets):
            for term in self._prefix(one):
                self._index.setdefault(term, []).append(i)

    def near(self, one: frozenset[str]) -> list[tuple[int, float]]:
        """(position, similarity) of each set that is near to ``one``."""
        candidates = {i for term in self._prefix(one) for i in self._index.get(term, ())}
        found = []
        for i in sorted(candidates):
            shared = len(one & self._sets[i])
            similarity = shared / (len(one) + len(self._sets[i]) - shared)
            if similarity >= NEAR:
                found.append((i, similarity))
        return found

    def _prefix(self, one: frozenset[str]) -> list[str]:
        length = len(one) - math.ceil(NEAR * len(one) - 1e-9) + 1
        return sorted(one, key=lambda term: (self._often.get(term, 0), term))[:length]

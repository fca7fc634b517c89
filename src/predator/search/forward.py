"""What stands in each document, for exact scores of any candidate: the forward index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

K1 = 1.2
B = 0.75

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FieldScores:
    """Per candidate: BM25, the IDF share of the query's terms present, and how many are."""

    bm25: Floats
    coverage: Floats
    matched: Floats


class _Growing:
    """An append-only numpy array with amortised growth."""

    def __init__(self, dtype: type, capacity: int = 1024) -> None:
        self._data: NDArray[Any] = np.empty(capacity, dtype)
        self.size = 0

    def extend(self, values: NDArray[Any]) -> None:
        needed = self.size + len(values)
        if needed > len(self._data):
            grown = np.empty(max(needed, 2 * len(self._data)), self._data.dtype)
            grown[: self.size] = self._data[: self.size]
            self._data = grown
        self._data[self.size : needed] = values
        self.size = needed

    @property
    def values(self) -> NDArray[Any]:
        return self._data


class ForwardField:
    """Terms and their counts by row for one field; rows are added in order, never changed."""

    def __init__(self) -> None:
        self._starts = _Growing(np.int64)
        self._starts.extend(np.zeros(1, np.int64))
        self._terms = _Growing(np.int32)
        self._counts = _Growing(np.float32)
        self._lengths = _Growing(np.float32)
        self._document_frequency = _Growing(np.float32)
        self._total_length = 0.0
        self._documents = 0

    def __len__(self) -> int:
        return self._documents

    def add(self, term_ids: Sequence[int], vocabulary: int) -> None:
        """Append the next row. ``vocabulary`` is the number of term ids known so far."""
        missing = vocabulary - self._document_frequency.size
        if missing > 0:
            self._document_frequency.extend(np.zeros(missing, np.float32))
        counted = Counter(term_ids)
        ids = np.fromiter(counted.keys(), np.int32, len(counted))
        self._terms.extend(ids)
        self._counts.extend(np.fromiter(counted.values(), np.float32, len(counted)))
        self._lengths.extend(np.asarray([len(term_ids)], np.float32))
        self._document_frequency.values[ids] += 1
        self._total_length += len(term_ids)
        self._starts.extend(np.asarray([self._terms.size], np.int64))
        self._documents += 1

    def lengths(self, rows: NDArray[np.int64]) -> Floats:
        picked: Floats = self._lengths.values[rows].astype(np.float32)
        return picked

    def idf(self, term_ids: NDArray[np.int32]) -> Floats:
        """BM25's inverse document frequency, ln(1 + (N - df + ½)/(df + ½))."""
        known = (term_ids >= 0) & (term_ids < self._document_frequency.size)
        frequency = np.zeros(len(term_ids), np.float32)
        frequency[known] = self._document_frequency.values[term_ids[known]]
        n = max(self._documents, 1)
        idf: Floats = np.log1p((n - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
        return idf

    def score(
        self, rows: NDArray[np.int64], term_ids: NDArray[np.int32], weights: Floats
    ) -> FieldScores:
        """Scores of ``rows`` for distinct query terms with their weights (counts in the query)."""
        zeros = np.zeros(len(rows), np.float32)
        if not len(rows) or not len(term_ids):
            return FieldScores(zeros, zeros, zeros)
        idf = self.idf(term_ids)
        starts = self._starts.values[rows]
        sizes = self._starts.values[rows + 1] - starts
        owner = np.repeat(np.arange(len(rows)), sizes)
        offsets = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        positions = np.repeat(starts, sizes) + offsets
        found = self._terms.values[positions]
        order = np.argsort(term_ids)
        slot = np.searchsorted(term_ids[order], found)
        slot[slot == len(term_ids)] = 0
        hit = term_ids[order][slot] == found
        owner, slot, positions = owner[hit], order[slot[hit]], positions[hit]
        count = self._counts.values[positions]
        average = max(self._total_length / max(self._documents, 1), 1e-9)
        norm = K1 * (1 - B + B * self._lengths.values[rows] / average)
        gain = idf[slot] * weights[slot] * count * (K1 + 1) / (count + norm[owner])
        n = len(rows)
        total_idf = max(float((idf * weights).sum()), 1e-9)
        return FieldScores(
            np.bincount(owner, gain, n).astype(np.float32),
            (np.bincount(owner, idf[slot] * weights[slot], n) / total_idf).astype(np.float32),
            np.bincount(owner, minlength=n).astype(np.float32),
        )

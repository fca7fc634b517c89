"""The dense side: cosine similarity over normalised vectors, in usearch."""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

EXACT_BELOW = 4096
"""Under this many vectors a plain matrix product is exact and as fast as the graph."""

CHUNK = 8
"""Vectors added under one hold of the lock: some 2 ms, the most that a search waits."""


class VectorIndex:
    """Vectors by row, some of which may still be missing (they fill in behind the lexical side)."""

    def __init__(self, dimension: int) -> None:
        # Loaded after usearch, ONNX Runtime crashes the process: both carry their own C++ runtime.
        import onnxruntime  # noqa: F401
        from usearch.index import Index

        self.dimension = dimension
        self._matrix = np.zeros((1024, dimension), np.float32)
        self._present = np.zeros(1024, bool)
        self._count = 0
        self._high = 0
        self._graph = Index(ndim=dimension, metric="ip", dtype="f16", expansion_search=192)
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return self._count

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of ``rows`` have a vector."""
        known = rows < len(self._present)
        present = np.zeros(len(rows), bool)
        present[known] = self._present[rows[known]]
        return present

    def add(self, rows: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Set the vectors of rows that have none yet; ``vectors`` is [n, dimension], normalised."""
        fresh = ~self.has(rows)
        rows, vectors = rows[fresh], vectors[fresh]
        if not len(rows):
            return
        for start in range(0, len(rows), CHUNK):
            part, values = rows[start : start + CHUNK], vectors[start : start + CHUNK]
            with self._lock:
                self._grow(int(part.max()) + 1)
                self._matrix[part] = values
                self._graph.add(part.astype(np.uint64), values, threads=1)
                self._present[part] = True
                self._high = max(self._high, int(part.max()) + 1)
                self._count += len(part)

    def remove(self, row: int) -> None:
        with self._lock:
            if row < len(self._present) and self._present[row]:
                self._present[row] = False
                self._graph.remove(row)
                self._count -= 1

    def search(
        self, vector: NDArray[np.float32], depth: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The best ``depth`` rows and their cosines, best first."""
        if not self._count:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if self._count <= EXACT_BELOW:
            size = min(self._high, len(self._matrix))
            cosines = np.where(self._present[:size], self._matrix[:size] @ vector, -np.inf)
            best = np.argpartition(-cosines, min(depth, size) - 1)[:depth]
            best = best[np.lexsort((best, -cosines[best]))]
            best = best[np.isfinite(cosines[best])]
            return best.astype(np.int64), cosines[best].astype(np.float32)
        with self._lock:  # usearch grows in place: a search during an add can crash the process
            found = self._graph.search(vector, depth, threads=1)
        rows = found.keys.astype(np.int64)
        cosines = self.cosines(rows, vector)
        order = np.lexsort((rows, -cosines))
        return rows[order], cosines[order]

    def cosines(self, rows: NDArray[np.int64], vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Exact cosines of ``rows``; NaN where a row has no vector yet."""
        out = np.full(len(rows), np.nan, np.float32)
        present = self.has(rows)
        out[present] = self._matrix[rows[present]] @ vector
        return out

    def mean(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The mean vector of the rows that have one; zeros where none has."""
        present = rows[self.has(rows)]
        if not len(present):
            return np.zeros(self.dimension, np.float32)
        mean: NDArray[np.float32] = self._matrix[present].mean(axis=0)
        return mean

    def _grow(self, needed: int) -> None:
        if needed <= len(self._present):
            return
        size = max(needed, 2 * len(self._present))
        matrix = np.zeros((size, self.dimension), np.float32)
        matrix[: len(self._matrix)] = self._matrix
        present = np.zeros(size, bool)
        present[: len(self._present)] = self._present
        self._matrix, self._present = matrix, present

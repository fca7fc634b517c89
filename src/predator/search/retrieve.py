"""Candidates: the best of the lexical and the dense side, fused into one order."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from predator.domain.release import RetrievalParameters
from predator.search.forward import FieldScores, Floats
from predator.search.index import AnalysedQuery, Index


@dataclass(frozen=True, slots=True)
class Candidates:
    """The union of both sides' best, in fused order; every array has one entry per row.

    ``bm25`` and ``cosine`` are exact for every row, whichever side found it (``cosine`` is NaN
    where the vector is still missing). ``bm25_rank`` and ``dense_rank`` are 1-based ranks in
    their side's list, 0 where the side did not return the row. ``fused`` decides the order.
    """

    rows: NDArray[np.int64]
    bm25: Floats
    cosine: Floats
    bm25_rank: NDArray[np.int64]
    dense_rank: NDArray[np.int64]
    fused: Floats
    all: FieldScores
    title: FieldScores

    def take(self, count: int) -> Candidates:
        """The first ``count``."""
        return self._pick(np.arange(min(count, len(self.rows))))

    def refused(self, parameters: RetrievalParameters) -> Candidates:
        """What :func:`retrieve` gives under other parameters that take no more from either side
        than these did: bit for bit at the same depth, to rounding at a smaller one.

        Serving and training share it, so that a model is never asked about scores that it has
        not learnt from.
        """
        # A floating-point sum depends on the order of its terms, so they always go by row.
        by_row = self._within(parameters.depth)
        by_row = by_row._pick(np.argsort(by_row.rows))
        bm25 = by_row.all.bm25 + np.float32(parameters.title_boost) * by_row.title.bm25
        fused = fuse(parameters, bm25, by_row.cosine, by_row.bm25_rank, by_row.dense_rank)
        changed = replace(by_row, bm25=bm25, fused=fused)
        return changed._pick(np.lexsort((changed.rows, -fused)))

    def _within(self, depth: int) -> Candidates:
        """Those that a search of this depth finds."""
        lexical = np.where(self.bm25_rank <= depth, self.bm25_rank, 0)
        dense = np.where(self.dense_rank <= depth, self.dense_rank, 0)
        ranked = replace(self, bm25_rank=lexical, dense_rank=dense)
        return ranked._pick(np.flatnonzero((lexical > 0) | (dense > 0)))

    def _pick(self, order: NDArray[np.int64]) -> Candidates:
        def field(scores: FieldScores) -> FieldScores:
            return FieldScores(scores.bm25[order], scores.coverage[order], scores.matched[order])

        return Candidates(
            self.rows[order],
            self.bm25[order],
            self.cosine[order],
            self.bm25_rank[order],
            self.dense_rank[order],
            self.fused[order],
            field(self.all),
            field(self.title),
        )


def zscores(values: Floats) -> Floats:
    """Standardised over the finite entries; missing ones count as the lowest finite entry."""
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros_like(values)
    filled = np.where(finite, values, values[finite].min())
    spread = filled.std()
    centred: Floats = (filled - filled.mean()) / (spread if spread > 1e-9 else 1.0)
    return centred.astype(np.float32)


def fuse(
    parameters: RetrievalParameters,
    bm25: Floats,
    cosine: Floats,
    bm25_rank: NDArray[np.int64],
    dense_rank: NDArray[np.int64],
) -> Floats:
    """One score per row, higher is better.

    RRF after Cormack et al. (2009); ``zsum`` and ``weighted`` add z-scores over the candidates.
    While no vector is there yet, every kind falls back to the lexical order.
    """
    kind = parameters.fusion
    if kind == "bm25" or not np.isfinite(cosine).any():
        return bm25
    if kind == "dense":
        return np.where(np.isfinite(cosine), cosine, -2.0).astype(np.float32)
    if kind == "rrf":
        k = parameters.rrf_k
        lexical = np.where(bm25_rank > 0, 1.0 / (k + bm25_rank), 0.0)
        dense = np.where(dense_rank > 0, 1.0 / (k + dense_rank), 0.0)
        return (lexical + dense).astype(np.float32)
    weight = 0.5 if kind == "zsum" else parameters.dense_weight
    summed: Floats = (1 - weight) * zscores(bm25) + weight * zscores(cosine)
    return summed.astype(np.float32)


def retrieve(
    index: Index,
    parameters: RetrievalParameters,
    query: AnalysedQuery,
    vector: NDArray[np.float32] | None,
) -> Candidates:
    """Both sides' best ``depth``, exact scores for all of them, in fused order.

    ``vector`` is the query's embedding, ``None`` to search the lexical side alone. Rows whose
    fused order does not exist (a kind that ignores one side) still come, last. Which rows come
    depends on ``depth`` and on whether the dense side is asked, on no other parameter.
    """
    parameters = parameters.asked_in(query.language)
    lexical_rows, _ = index.lexical.search(query.terms, parameters.depth)
    if vector is None or parameters.fusion == "bm25":
        dense_rows = np.empty(0, np.int64)
    else:
        dense_rows, _ = index.vectors.search(vector, parameters.depth)
    rows = np.union1d(lexical_rows, dense_rows).astype(np.int64)
    everywhere = index.all.score(rows, query.term_ids, query.weights)
    title = index.title.score(rows, query.term_ids, query.weights)
    cosine = (
        np.full(len(rows), np.nan, np.float32)
        if vector is None
        else index.vectors.cosines(rows, vector)
    )
    bm25_rank = _ranks(rows, lexical_rows)
    dense_rank = _ranks(rows, dense_rows)
    bm25 = everywhere.bm25
    found = Candidates(rows, bm25, cosine, bm25_rank, dense_rank, bm25, everywhere, title)
    return found.refused(parameters)


def _ranks(rows: NDArray[np.int64], ranked: NDArray[np.int64]) -> NDArray[np.int64]:
    ranks = np.zeros(len(rows), np.int64)
    ranks[np.searchsorted(rows, ranked)] = np.arange(1, len(ranked) + 1)
    return ranks

"""Ranking features, defined once for serving and training alike."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from predator.search.index import AnalysedQuery, Index
from predator.search.retrieve import Candidates, zscores

FEATURES = (
    "bm25",
    "bm25_z",
    "bm25_share_of_best",
    "bm25_reciprocal_rank",
    "title_bm25",
    "title_bm25_z",
    "coverage",
    "title_coverage",
    "terms_matched_share",
    "title_trigram_coverage",
    "title_trigram_share",
    "cosine",
    "cosine_z",
    "cosine_gap_to_best",
    "cosine_to_best_three_z",
    "dense_reciprocal_rank",
    "zsum",
    "rrf",
    "document_terms_log",
    "title_terms_log",
    "query_terms",
    "query_idf_mean",
    "query_idf_max",
)


def features(index: Index, query: AnalysedQuery, found: Candidates) -> NDArray[np.float32]:
    """The feature matrix of the candidates, [rows, features], in the order of ``FEATURES``.

    A missing vector leaves NaN in the cosine columns, which LightGBM reads as missing.
    """
    bm25_z, cosine_z = zscores(found.bm25), zscores(found.cosine)
    n = len(found.rows)
    ones = np.ones(len(query.gram_ids), np.float32)
    grams = index.title_grams.score(found.rows, query.gram_ids, ones)
    distinct = max(len(query.term_ids), 1)
    idf = index.all.idf(query.term_ids) if len(query.term_ids) else np.zeros(1, np.float32)
    best_bm25 = max(float(found.bm25.max(initial=0.0)), 1e-9)
    finite = found.cosine[np.isfinite(found.cosine)]
    best_cosine = float(finite.max()) if len(finite) else np.nan
    k = 60
    rrf = np.where(found.bm25_rank > 0, 1 / (k + found.bm25_rank), 0.0) + np.where(
        found.dense_rank > 0, 1 / (k + found.dense_rank), 0.0
    )
    columns = (
        found.bm25,
        bm25_z,
        found.bm25 / best_bm25,
        np.where(found.bm25_rank > 0, 1 / np.maximum(found.bm25_rank, 1), 0.0),
        found.title.bm25,
        zscores(found.title.bm25),
        found.all.coverage,
        found.title.coverage,
        found.all.matched / distinct,
        grams.coverage,
        grams.matched / np.maximum(index.title_grams.lengths(found.rows), 1),
        found.cosine,
        cosine_z,
        best_cosine - found.cosine,
        zscores(index.vectors.cosines(found.rows, _centroid(index, found))),
        np.where(found.dense_rank > 0, 1 / np.maximum(found.dense_rank, 1), 0.0),
        0.5 * bm25_z + 0.5 * cosine_z,
        rrf,
        np.log1p(index.all.lengths(found.rows)),
        np.log1p(index.title.lengths(found.rows)),
        np.full(n, len(query.terms)),
        np.full(n, idf.mean()),
        np.full(n, idf.max()),
    )
    return np.stack(columns, axis=1).astype(np.float32)


def _centroid(index: Index, found: Candidates) -> NDArray[np.float32]:
    """The mean vector of the three best fused candidates: pseudo-relevance feedback (Rocchio)."""
    return index.vectors.mean(found.rows[:3])

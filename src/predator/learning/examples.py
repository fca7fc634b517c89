"""Judged queries as learners see them: candidates, features and grades, computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Judgments, Query
from predator.domain.release import RetrievalParameters
from predator.search.engine import QueryEncoder
from predator.search.features import features
from predator.search.index import AnalysedQuery, Index
from predator.search.retrieve import Candidates, fuse, retrieve


@dataclass(frozen=True, slots=True)
class Example:
    """One judged query with the first ``depth`` that either side found for it.

    ``grade_of`` has the judgment of candidate rows (0 where there is none).
    """

    query: Query
    analysed: AnalysedQuery
    found: Candidates
    grade_of: Mapping[int, int]
    depth: int

    def grades_of(self, found: Candidates) -> NDArray[np.int64]:
        """The judgment of each candidate row."""
        return np.asarray([self.grade_of.get(row, 0) for row in found.rows.tolist()], np.int64)

    def refused(self, parameters: RetrievalParameters) -> Candidates:
        """The same candidates in the order that other fusion parameters give."""
        return self.found.refused(parameters.asked_in(self.analysed.language))

    def best(self, parameters: RetrievalParameters, k: int) -> NDArray[np.int64]:
        """The first ``k`` rows in that order, without the rest of :meth:`refused`."""
        if parameters.depth < self.depth:
            return self.refused(parameters).rows[:k]
        parameters, found = parameters.asked_in(self.analysed.language), self.found
        bm25 = found.all.bm25 + np.float32(parameters.title_boost) * found.title.bm25
        fused = fuse(parameters, bm25, found.cosine, found.bm25_rank, found.dense_rank)
        return found.rows[np.lexsort((found.rows, -fused))[:k]]

    def ids(self, index: Index, rows: NDArray[np.int64]) -> list[str]:
        return [index.documents[row].id for row in rows]


def collect(
    index: Index,
    encoder: QueryEncoder,
    queries: Sequence[Query],
    judgments: Judgments,
    depth: int = 100,
    progress: Callable[[int, int], None] | None = None,
) -> list[Example]:
    """Retrieve once for each query, deep enough on both sides for every learner."""
    parameters = RetrievalParameters(fusion="rrf", depth=depth)
    examples: list[Example] = []
    for done, query in enumerate(queries):
        analysed = index.analyse(query.text)
        vector = encoder.encode_query(query.text) if len(index.vectors) else None
        found = retrieve(index, parameters, analysed, vector)
        examples.append(Example(query, analysed, found, _grades(index, judgments[query.id]), depth))
        if progress is not None:
            progress(done + 1, len(queries))
    return examples


def matrix_of(index: Index, example: Example, found: Candidates) -> NDArray[np.float32]:
    """The feature matrix of some of the example's candidates."""
    return features(index, example.analysed, found)


def _grades(index: Index, grades: Mapping[str, int]) -> dict[int, int]:
    rows = ((index.row_of(document), grade) for document, grade in grades.items())
    return {row: grade for row, grade in rows if row is not None}

"""A release brought to life: retrieval parameters and reranker over an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from predator.domain.release import Release
from predator.search.features import features
from predator.search.index import AnalysedQuery, Index
from predator.search.rankers import Asked
from predator.search.rerank import SecondStage
from predator.search.retrieve import Candidates, retrieve


class QueryEncoder(Protocol):
    """What search needs of an encoder."""

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """The normalised embedding of one query, [dimension]."""
        ...


@dataclass(frozen=True, slots=True)
class Ranking:
    """Rows in the order to show, with the scores that made the order."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]


class Engine:
    """Answers queries as one release would; holds no state of its own."""

    def __init__(
        self, release: Release, index: Index, encoder: QueryEncoder, reranker: SecondStage | None
    ) -> None:
        self.release = release
        self.index = index
        self._encoder = encoder
        self._reranker = reranker

    def rank(self, text: str, k: int) -> Ranking:
        """The best ``k`` rows for ``text``."""
        query, found = self.candidates(text)
        ranking = self.order(query, found)
        return Ranking(ranking.rows[:k], ranking.scores[:k])

    def candidates(self, text: str) -> tuple[AnalysedQuery, Candidates]:
        """The analysed query and its fused candidates."""
        query = self.index.analyse(text)
        parameters = self.release.retrieval
        vector = None
        if parameters.fusion != "bm25" and len(self.index.vectors):
            vector = self._encoder.encode_query(text)
        return query, retrieve(self.index, parameters, query, vector)

    def order(self, query: AnalysedQuery, found: Candidates) -> Ranking:
        """The reranker's order of the first ``rerank`` candidates; the fused order without one."""
        if self._reranker is None or not len(found.rows):
            return Ranking(found.rows, found.fused.astype(np.float64))
        head = found.take(self.release.retrieval.rerank)
        matrix = features(self.index, query, head)
        scores = self._reranker.score(matrix, head.fused, self._asked(query, head))
        order = np.argsort(-scores, kind="stable")
        return Ranking(head.rows[order], scores[order])

    def explain(self, texts: Sequence[str]) -> dict[str, float]:
        """Mean absolute share of each feature in the score (TreeSHAP for trees) over the
        candidates of ``texts``.

        Empty where the release has no reranker or nothing was asked.
        """
        if self._reranker is None:
            return {}
        names = self._reranker.names
        total = np.zeros(len(names))
        rows = 0
        for text in texts:
            query, found = self.candidates(text)
            head = found.take(self.release.retrieval.rerank)
            if len(head.rows):
                matrix = features(self.index, query, head)
                asked = self._asked(query, head)
                shares = self._reranker.contributions(matrix, head.fused, asked)
                total += np.abs(shares[:, :-1]).sum(axis=0)
                rows += len(shares)
        return dict(zip(names, (total / rows).tolist(), strict=True)) if rows else {}

    def _asked(self, query: AnalysedQuery, found: Candidates) -> Asked:
        """The same for a reranker that reads texts."""
        documents = self.index.documents
        return Asked(query.text, [documents[row] for row in found.rows.tolist()])

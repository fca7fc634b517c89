"""Ranking measures per query, computed by ir-measures as trec_eval does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Judgments

MEASURES = ("nDCG@10", "R@20", "P@10", "RR@10")


@dataclass(frozen=True, slots=True)
class Scores:
    """One value per query and measure; ``queries`` gives the order of every array."""

    queries: tuple[str, ...]
    values: Mapping[str, NDArray[np.float64]]

    @property
    def ndcg(self) -> NDArray[np.float64]:
        return self.values["nDCG@10"]

    @property
    def recall(self) -> NDArray[np.float64]:
        return self.values["R@20"]

    def mean(self, measure: str = "nDCG@10") -> float:
        return float(self.values[measure].mean())

    def pick(self, queries: Sequence[str]) -> Scores:
        """The same values for some of the queries, in the order given."""
        place = {query: i for i, query in enumerate(self.queries)}
        order = np.asarray([place[query] for query in queries], np.int64)
        return Scores(tuple(queries), {name: v[order] for name, v in self.values.items()})


def score(
    judgments: Judgments,
    rankings: Mapping[str, Sequence[str]],
    measures: Sequence[str] = MEASURES,
) -> Scores:
    """Score ``rankings`` (query id → document ids, best first) for every judged query.

    A judged query without a ranking scores 0. nDCG uses linear gains, as trec_eval.
    """
    import ir_measures

    queries = tuple(judgments)
    place = {query: i for i, query in enumerate(queries)}
    values = {name: np.zeros(len(queries)) for name in measures}
    parsed = {str(m): m for m in map(ir_measures.parse_measure, measures)}
    run = {
        query: {document: float(len(ranked) - i) for i, document in enumerate(ranked)}
        for query, ranked in rankings.items()
        if query in place and ranked
    }
    qrels = {query: dict(grades) for query, grades in judgments.items()}
    if run:
        for metric in ir_measures.iter_calc(list(parsed.values()), qrels, run):
            values[str(metric.measure)][place[metric.query_id]] = metric.value
    return Scores(queries, values)

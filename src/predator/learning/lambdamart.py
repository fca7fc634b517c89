"""Trainable: LambdaMART over the ranking features, boosted from the tuned fusion score.

Starting the boosting at the fused score (Burges 2010 boosts from any base ranker) makes the
model a correction: with little data early stopping leaves the fusion order almost as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example, matrix_of
from predator.search.features import FEATURES
from predator.search.index import Index
from predator.search.rerank import dump_reranker, load_reranker

MAX_TREES = 400
PATIENCE = 50

MONOTONE = {
    "bm25": 1, "bm25_z": 1, "bm25_share_of_best": 1, "coverage": 1, "title_coverage": 1,
    "cosine": 1, "cosine_z": 1, "cosine_gap_to_best": -1, "zsum": 1, "rrf": 1,
}  # fmt: skip
"""More evidence of a match never lowers a score, however few examples say otherwise."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One query's candidates as the model sees them, computed once.

    ``documents`` are the candidates' ids in fused order; the arrays have one row for each.
    """

    query_id: str
    documents: Sequence[str]
    matrix: NDArray[np.float32]
    fused: NDArray[np.float64]
    grades: NDArray[np.int64]
    weight: float

    @property
    def teaches(self) -> bool:
        """Candidates that are all equally relevant have no order to learn."""
        return len(self.grades) > 1 and bool(self.grades.min() != self.grades.max())


@dataclass(frozen=True, slots=True)
class Model:
    """LightGBM's text format, how many trees it has, and the weight of the base score."""

    text: str
    trees: int
    base_weight: float


def prepare(
    index: Index,
    examples: Sequence[Example],
    parameters: RetrievalParameters,
    weight: float = 1.0,
) -> list[Prepared]:
    """The examples' features under the retrieval parameters the release will have."""
    prepared = []
    for example in examples:
        found = example.refused(parameters).take(parameters.rerank)
        prepared.append(
            Prepared(
                example.query.id,
                example.ids(index, found.rows),
                matrix_of(index, example, found),
                found.fused.astype(np.float64),
                example.grades_of(found),
                weight,
            )
        )
    return prepared


def rank(prepared: Sequence[Prepared], model: Model, k: int = 20) -> dict[str, list[str]]:
    """The first ``k`` documents of each query in the model's order."""
    reranker = load_reranker(dump_reranker(model.text, model.base_weight))
    rankings: dict[str, list[str]] = {}
    for one in prepared:
        if len(one.documents):
            scores = reranker.score(one.matrix, one.fused.astype(np.float32))
            order = np.argsort(-scores, kind="stable")[:k]
            rankings[one.query_id] = [one.documents[i] for i in order]
    return rankings


def train(
    data: Sequence[Prepared], *, trees: int, seed: int, base_weight: float, threads: int = 1
) -> Model:
    """Fit a model with a fixed number of trees. Deterministic for the same data and seed."""
    import lightgbm

    booster = lightgbm.train(
        _parameters(data, seed, threads), _dataset(data, base_weight), num_boost_round=trees
    )
    return Model(booster.model_to_string(), trees, base_weight)


def choose_trees(
    fit: Sequence[Prepared],
    held_out: Sequence[Prepared],
    *,
    seed: int,
    base_weight: float,
    threads: int = 1,
) -> int:
    """How many trees serve unseen queries best: early stopping on ``held_out``."""
    import lightgbm

    train_set = _dataset(fit, base_weight)
    booster = lightgbm.train(
        _parameters([*fit, *held_out], seed, threads),
        train_set,
        num_boost_round=MAX_TREES,
        valid_sets=[_dataset(held_out, base_weight, reference=train_set)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    return max(1, int(booster.best_iteration))


def _dataset(data: Sequence[Prepared], base_weight: float, reference: Any = None) -> Any:
    import lightgbm

    lessons = [one for one in data if one.teaches]
    if not lessons:
        raise InputError(
            "no training query has both a relevant and another document among its candidates",
            cure="bring more judgments, or documents that the queries can find",
        )
    return lightgbm.Dataset(
        np.concatenate([one.matrix for one in lessons]),
        label=np.concatenate([one.grades for one in lessons]),
        group=[len(one.grades) for one in lessons],
        weight=np.concatenate([np.full(len(one.grades), one.weight) for one in lessons]),
        init_score=base_weight * np.concatenate([one.fused for one in lessons]),
        feature_name=list(FEATURES),
        reference=reference,
        free_raw_data=False,
    )


def _parameters(data: Sequence[Prepared], seed: int, threads: int) -> dict[str, Any]:
    highest = max((int(one.grades.max(initial=1)) for one in data), default=1)
    return {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "label_gain": list(range(highest + 1)),
        "lambdarank_truncation_level": 30,
        "learning_rate": 0.08,
        "num_leaves": 15,
        "min_data_in_leaf": 50,
        "max_bin": 63,
        "feature_fraction": 0.7,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambda_l2": 5.0,
        "monotone_constraints": [MONOTONE.get(name, 0) for name in FEATURES],
        "num_threads": threads,
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
        "verbosity": -1,
    }

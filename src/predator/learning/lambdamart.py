"""Trainable: LambdaMART over the ranking features, boosted from the tuned fusion score.

Starting the boosting at the fused score (Burges 2010 boosts from any base ranker) makes the
model a correction: with little data early stopping leaves the fusion order almost as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example, matrix_of
from predator.learning.measures import score
from predator.learning.splits import split_by_cluster
from predator.learning.trainable import Contributions, Ranked, Report, TrainingSet
from predator.search.features import FEATURES
from predator.search.index import Index
from predator.search.rerank import Reranker, dump_reranker, load_booster, load_reranker
from predator.search.trees import averaged_model

MAX_TREES = 400
PATIENCE = 30
BASE_WEIGHTS = (0.0, 2.0)
"""Weights of the fused score under the trees: none, and about the reach of a grown model."""
MODELS = 5
"""Models that are averaged in the end: with a few hundred queries, which of them a tree was grown
on is luck, and four fifths of what luck adds to the error go with five. More serve slower."""
FOLD_MODELS = 2
"""As many are enough to compare candidates by: half of what luck adds is gone, and folds cost most
of the time. What is submitted is a little better than it was scored."""
GENERATED_WEIGHT = 0.3
"""A generated query counts for less than a judged one: its only known answer is its source."""

MONOTONE = {
    "bm25": 1, "bm25_z": 1, "bm25_share_of_best": 1, "coverage": 1, "title_coverage": 1,
    "cosine": 1, "cosine_z": 1, "cosine_gap_to_best": -1, "zsum": 1, "rrf": 1,
}  # fmt: skip
"""More evidence of a match never lowers a score, however few examples say otherwise."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One query's candidates as the model sees them, computed once.

    ``rows`` and ``documents`` (their ids) are the candidates in fused order; the other arrays have
    one row for each.
    """

    query_id: str
    rows: NDArray[np.int64]
    documents: Sequence[str]
    matrix: NDArray[np.float32]
    fused: NDArray[np.float64]
    grades: NDArray[np.int64]
    weight: float
    names: Sequence[str] = FEATURES
    """The columns of ``matrix``: the features, and after them those of other rankers."""

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


Choices = MutableMapping[tuple[object, ...], tuple[float, int]]


@dataclass(frozen=True)
class LambdaMart:
    """Trees on top of the tuned fusion; with ``generated`` also learnt from generated queries.

    ``models`` are averaged. ``choices`` keeps what was chosen on which queries, so that two of
    them that learn from the same judged queries choose once.
    """

    generated: bool = False
    models: int = MODELS
    choices: Choices = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        return "lambdamart+generated" if self.generated else "lambdamart"

    def train(self, data: TrainingSet, report: Report) -> Model:
        """Weight of the base and number of trees by one half of the judged queries on the other,
        then all data."""
        prepared, steps = prepared_of(data), len(BASE_WEIGHTS) + 1
        asked = (data.seed, data.retrieval, *(one.query_id for one in prepared))
        if asked not in self.choices:
            self.choices[asked] = self._choose(data, prepared, report)
        base_weight, trees = self.choices[asked]
        extra = []
        if self.generated:
            made = prepare(data.generated_index, data.generated, data.retrieval, GENERATED_WEIGHT)
            extra = [one for one in made if one.teaches]
        model = train_several(
            [*prepared, *extra],
            trees=trees,
            seed=data.seed,
            base_weight=base_weight,
            threads=data.threads,
            models=self.models,
        )
        report(self.name, steps, steps)
        return model

    def _choose(
        self, data: TrainingSet, prepared: Sequence[Prepared], report: Report
    ) -> tuple[float, int]:
        rng = np.random.default_rng(data.seed)
        half = split_by_cluster(data.clusters, [1.0, 1.0], rng)
        fit, held = ([p for p, h in zip(prepared, half, strict=True) if h == side]
                     for side in (0, 1))  # fmt: skip
        judged = {one.query_id: data.judgments[one.query_id] for one in held}
        found: list[tuple[float, float, int]] = []
        for step, base_weight in enumerate(BASE_WEIGHTS):
            report(self.name, step, len(BASE_WEIGHTS) + 1)
            model = stop_early(
                fit, held, seed=data.seed, base_weight=base_weight, threads=data.threads
            )
            value = score(judged, rank(held, model), ("nDCG@10",)).mean()
            found.append((round(value, 9), base_weight, model.trees))
        # The first of equals: the weight under which trees do more of the work.
        _, base_weight, trees = max(found, key=lambda one: one[0])
        return base_weight, trees

    def save(self, model: Model) -> dict[str, bytes]:
        return {"reranker.json": dump_reranker(model.text, model.base_weight)}

    def load(self, files: Mapping[str, bytes]) -> Model:
        """The inverse of :meth:`save`; ``InputError`` where the file holds no such model."""
        if "reranker.json" not in files:
            raise InputError("there is no reranker.json", cure="train it again")
        load_reranker(files["reranker.json"])
        value = json.loads(files["reranker.json"])
        return Model(value["model"], value["model"].count("\nTree="), float(value["base_weight"]))

    def score(self, model: Model, data: TrainingSet, example: Example) -> Ranked:
        one = _prepared(data, example)
        if not len(one.rows):
            return Ranked(one.rows, one.fused)
        return Ranked(one.rows, _loaded(model).score(one.matrix, one.fused.astype(np.float32)))

    def explain(self, model: Model, data: TrainingSet, example: Example) -> Contributions:
        """TreeSHAP of every feature, by LightGBM's ``pred_contrib``; the last is the base."""
        one = _prepared(data, example)
        reranker = _loaded(model)
        values = reranker.contributions(one.matrix)
        return Contributions(one.rows, (*reranker.names, "base"), values)


@lru_cache(maxsize=2)
def _loaded(model: Model) -> Reranker:
    """As serving would load it; a model scores many queries in turn."""
    reranker = load_reranker(dump_reranker(model.text, model.base_weight))
    if not isinstance(reranker, Reranker):
        raise AssertionError("trees are dumped as trees")
    return reranker


def prepared_of(data: TrainingSet) -> list[Prepared]:
    """The examples of ``data`` as the model sees them, computed once."""

    def compute() -> NDArray[Any]:
        found = np.empty(len(data.examples), object)
        found[:] = prepare(data.index, data.examples, data.retrieval)
        return found

    return list(data.cached(f"prepared {data.retrieval}", compute))


def _prepared(data: TrainingSet, example: Example) -> Prepared:
    place = next(
        (i for i, one in enumerate(data.examples) if one.query.id == example.query.id), None
    )
    if place is None:
        return prepare(data.index, [example], data.retrieval)[0]
    return prepared_of(data)[place]


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
                found.rows,
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
    names = prepared[0].names if prepared else FEATURES
    reranker = Reranker(load_booster(model.text, names), model.base_weight, names)
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


def train_several(
    data: Sequence[Prepared],
    *,
    trees: int,
    seed: int,
    base_weight: float,
    threads: int = 1,
    models: int = MODELS,
) -> Model:
    """The mean of some models that differ by chance alone (bagging, Breiman 1996)."""
    grown = [
        train(data, trees=trees, seed=seed + number, base_weight=base_weight, threads=threads)
        for number in range(models)
    ]
    text = averaged_model([model.text for model in grown], data[0].names)
    return Model(text, sum(model.trees for model in grown), base_weight)


def stop_early(
    fit: Sequence[Prepared],
    held_out: Sequence[Prepared],
    *,
    seed: int,
    base_weight: float,
    threads: int = 1,
) -> Model:
    """A model of as many trees as serve unseen queries best: early stopping on ``held_out``."""
    import lightgbm

    train_set = _dataset(fit, base_weight)
    booster = lightgbm.train(
        _parameters([*fit, *held_out], seed, threads),
        train_set,
        num_boost_round=MAX_TREES,
        valid_sets=[_dataset(held_out, base_weight, reference=train_set)],
        callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
    )
    trees = max(1, int(booster.best_iteration))
    return Model(booster.model_to_string(num_iteration=trees), trees, base_weight)


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
        feature_name=list(lessons[0].names),
        reference=reference,
        free_raw_data=False,
    )


def _direction(name: str) -> int:
    """Another ranker's score is evidence of a match too."""
    return MONOTONE.get(name, 0) if name in FEATURES else 1


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
        "monotone_constraints": [
            _direction(name) for name in (data[0].names if data else FEATURES)
        ],
        "num_threads": threads,
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
        "verbosity": -1,
    }

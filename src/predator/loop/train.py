"""Station 4: train a portfolio of candidates under a budget and choose the one to submit.

Every candidate is scored out of fold by query cluster, so that the choice is not made on the
queries that a model has learnt from; the chosen one is then fitted on all training queries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Judgments
from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example
from predator.learning.lambdamart import FOLD_MODELS, LambdaMart, Model, prepared_of
from predator.learning.measures import Scores, score
from predator.learning.retrieval_parameters import RetrievalTrainable, grid_of
from predator.learning.splits import split_by_cluster
from predator.learning.trainable import Report, Trainable, TrainingSet
from predator.search.index import Index

FOLDS = 3
LAST = 2.5
"""Folds' time that the training on all queries takes: half as much data again, and more models."""
PROXY_TOLERANCE = 0.03
"""Relative NDCG that known-item queries have to show before they move a weight: what the gate asks
of any candidate. They are no users' queries, so less than that says nothing about those."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a training may take. A candidate that would take more is left out, with that reason."""

    seconds: float = 600.0
    usd: float | None = None
    cpu_hour_usd: float = 0.0

    def left(self, spent_s: float, threads: int) -> float:
        """Seconds that are left after ``spent_s`` on ``threads`` cores."""
        left = self.seconds - spent_s
        if self.usd is not None and self.cpu_hour_usd > 0:
            left = min(left, self.usd / (self.cpu_hour_usd * threads) * 3600 - spent_s)
        return left


@dataclass(frozen=True, slots=True)
class Trained:
    """A candidate: how it retrieves, its reranker's bytes, and its out-of-fold scores.

    ``encoder`` is the digest of the encoder that it was trained on, empty for the live one's.
    """

    name: str
    retrieval: RetrievalParameters
    reranker: bytes | None
    scores: Scores
    details: Mapping[str, float]
    encoder: str = ""


@dataclass(frozen=True, slots=True)
class Portfolio:
    """All candidates of a cycle, best first by mean out-of-fold NDCG@10.

    ``left_out`` says by name why a candidate was not trained.
    """

    candidates: Sequence[Trained]
    left_out: Mapping[str, str]

    @property
    def best(self) -> Trained:
        return self.candidates[0]


class _OverBudgetError(Exception):
    """The candidate would take more than is left; the text says how much."""


def train_portfolio(
    index: Index,
    examples: Sequence[Example],
    judgments: Judgments,
    clusters: NDArray[np.int64],
    seed: int,
    *,
    generated: Sequence[Example] = (),
    base: RetrievalParameters | None = None,
    threads: int = 1,
    budget: Budget | None = None,
    report: Report = lambda _what, _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
    rerankers: bool = True,
    masked: Index | None = None,
) -> Portfolio:
    """Fit fusion parameters and LambdaMART on ``examples`` (one cluster number each).

    ``generated`` examples, which were found in ``masked`` (in ``index`` without it), are learnt
    from in one more candidate and never scored. ``base`` are
    the parameters of the live release. Without ``rerankers`` the fusion alone is tuned: known-item
    queries (all that there is without judgments) are answered by copies of their own words, and
    trees learn that, not relevance. Raises ``InputError`` where the queries are too few or too
    alike to learn anything from.
    """
    folds = split_by_cluster(clusters, [1.0] * FOLDS, np.random.default_rng(seed))
    if np.bincount(folds, minlength=FOLDS).min() == 0:
        raise InputError(
            f"{len(examples)} training queries do not make {FOLDS} groups of different questions",
            cure="bring more judgments",
        )
    if not any(_teaches(example) for example in examples):
        raise InputError(
            "no training query has both a relevant and another document among its candidates",
            cure="bring more judgments, or documents that the queries can find",
        )
    data = TrainingSet(
        index, examples, judgments, clusters, seed, threads, generated,
        base or RetrievalParameters(), masked=masked,
    )  # fmt: skip
    rankers = _rankers(generated) if rerankers else []
    steps = (1 + len(rankers)) * (FOLDS + 1)
    work = _Work(data, folds, budget or Budget(), report, clock, clock(), steps)
    grid_of(data)  # before the folds, which take their parts of it
    fusion = RetrievalTrainable(0.0 if rerankers else PROXY_TOLERANCE)
    tuned, scores = work.fit(fusion)
    details = {"dense_weight": tuned.dense_weight, "title_boost": tuned.title_boost}
    details |= {f"dense_weight_{code}": weight for code, weight in tuned.language_weights}
    details["depth"] = float(tuned.depth)
    found = [Trained(fusion.name, tuned, None, scores, details)]
    left_out: dict[str, str] = {}
    work.data = replace(data, retrieval=tuned)
    if rankers:
        prepared_of(work.data)
    for number, ranker in enumerate(rankers, start=1):
        work.done = number * (FOLDS + 1)
        try:
            model, scores = work.fit(ranker, replace(ranker, models=FOLD_MODELS))
        except (_OverBudgetError, InputError) as error:
            left_out[ranker.name] = str(error)
            continue
        found.append(_trained(ranker, tuned, model, scores, len(generated)))
    if not rerankers:
        left_out["lambdamart"] = "there are no judgments: trees would learn to find copies"
    report("portfolio", steps, steps)
    return Portfolio(sorted(found, key=lambda trained: -trained.scores.mean()), left_out)


def _rankers(generated: Sequence[Example]) -> list[LambdaMart]:
    plain = LambdaMart()
    return [plain, *([replace(plain, generated=True)] if generated else [])]


def _trained(
    ranker: LambdaMart, tuned: RetrievalParameters, model: Model, scores: Scores, made: int
) -> Trained:
    (reranker,) = ranker.save(model).values()
    details = {"trees": model.trees, "base_weight": model.base_weight}
    details["generated"] = made if ranker.generated else 0
    return Trained(ranker.name, tuned, reranker, scores, details)


@dataclass
class _Work:
    data: TrainingSet
    folds: NDArray[np.int64]
    budget: Budget
    report: Report
    clock: Callable[[], float]
    began: float
    steps: int
    done: int = 0

    def fit(
        self, trainable: Trainable[Any], in_folds: Trainable[Any] | None = None
    ) -> tuple[Any, Scores]:
        """The model fitted on everything, and scores of models that have not seen the query;
        ``in_folds`` makes those, where something cheaper is good enough."""
        cheaper = in_folds or trainable
        begun, data = self.clock(), self.data
        rankings: dict[str, list[str]] = {}
        for fold in range(FOLDS):
            self._check_budget(trainable.name, begun, fold)
            self._say(f"{trainable.name}, fold {fold + 1} of {FOLDS}")
            inside = data.pick(self.folds != fold)
            outside = data.pick(self.folds == fold)
            model = cheaper.train(inside, _quiet)
            for example in outside.examples:
                rows = cheaper.score(model, outside, example).best(20)
                rankings[example.query.id] = example.ids(data.index, rows)
        self._check_budget(trainable.name, begun, FOLDS)
        self._say(f"{trainable.name}, on all queries")
        judged = {e.query.id: data.judgments[e.query.id] for e in data.examples}
        return trainable.train(data, _quiet), score(judged, rankings)

    def _say(self, what: str) -> None:
        self.report(what, self.done, self.steps)
        self.done += 1

    def _check_budget(self, name: str, begun: float, done: int) -> None:
        """Before each fold: whether what is still to do, at the pace so far, fits."""
        now = self.clock()
        left = self.budget.left(now - self.began, self.data.threads)
        needed = (now - begun) / done * (FOLDS + LAST - done) if done else 0.0
        if name != RetrievalTrainable.name and (left <= 0 or needed > left):
            raise _OverBudgetError(
                f"it would take {needed:.0f} s more, the budget leaves {left:.0f} s"
                if left > 0
                else f"the budget of {self.budget.left(0.0, self.data.threads):.0f} s is spent"
            )


def _teaches(example: Example) -> bool:
    grades = example.grades_of(example.found)
    return len(grades) > 1 and bool(grades.max() > 0) and bool(grades.min() != grades.max())


def _quiet(_what: str, _done: int, _total: int) -> None:
    pass

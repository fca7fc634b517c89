"""Station 4: train a portfolio of candidates and choose the one to submit.

Every candidate is scored out of fold by query cluster, so that the choice is not made on the
queries that a model has learnt from; the chosen one is then fitted on all training queries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Judgments
from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning import lambdamart
from predator.learning.examples import Example
from predator.learning.lambdamart import Prepared
from predator.learning.measures import Scores, score
from predator.learning.retrieval_parameters import best_setting, rank_with, score_grid
from predator.learning.splits import split_by_cluster
from predator.search.index import Index
from predator.search.rerank import dump_reranker

FOLDS = 3
BASE_WEIGHTS = (0.0, 2.0)
"""Weights of the fused score under the trees: none, and about the reach of a grown model."""
GENERATED_WEIGHT = 0.3
"""A generated query counts for less than a judged one: its only known answer is its source."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Trained:
    """A candidate: how it retrieves, its reranker's bytes, and its out-of-fold scores."""

    name: str
    retrieval: RetrievalParameters
    reranker: bytes | None
    scores: Scores
    details: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Portfolio:
    """All candidates of a cycle, best first by mean out-of-fold NDCG@10."""

    candidates: Sequence[Trained]

    @property
    def best(self) -> Trained:
        return self.candidates[0]


def train_portfolio(
    index: Index,
    examples: Sequence[Example],
    judgments: Judgments,
    clusters: NDArray[np.int64],
    seed: int,
    *,
    generated: Sequence[Example] = (),
    threads: int = 1,
    progress: Progress = lambda _: None,
) -> Portfolio:
    """Fit fusion parameters and LambdaMART on ``examples`` (one cluster number each).

    ``generated`` examples are learnt from in one more candidate and never scored. Raises
    ``InputError`` where the queries are too few or too alike to learn anything from.
    """
    rng = np.random.default_rng(seed)
    folds = split_by_cluster(clusters, [1.0] * FOLDS, rng)
    if np.bincount(folds, minlength=FOLDS).min() == 0:
        raise InputError(
            f"{len(examples)} training queries do not make {FOLDS} groups of different questions",
            cure="bring more judgments",
        )
    judged = {example.query.id: judgments[example.query.id] for example in examples}
    progress("fusion parameters")
    tuned = _fusion(index, examples, judged, folds)
    prepared = lambdamart.prepare(index, examples, tuned.retrieval)
    work = _Work(prepared, judged, folds, tuned.retrieval, seed, threads, progress)
    ranker = _lambdamart("lambdamart", work, (), BASE_WEIGHTS)
    found = [tuned, ranker]
    if generated:
        extra = [
            one
            for one in lambdamart.prepare(index, generated, tuned.retrieval, GENERATED_WEIGHT)
            if one.teaches
        ]
        base_weight = ranker.details["base_weight"]
        found.append(_lambdamart("lambdamart+generated", work, extra, (base_weight,)))
    return Portfolio(sorted(found, key=lambda trained: -trained.scores.mean()))


def _fusion(
    index: Index, examples: Sequence[Example], judged: Judgments, folds: NDArray[np.int64]
) -> Trained:
    grid = score_grid(index, examples, judged)
    rankings: dict[str, list[str]] = {}
    for fold in range(FOLDS):
        chosen = best_setting(grid[:, folds != fold])
        outside = [e for e, f in zip(examples, folds, strict=True) if f == fold]
        rankings.update(rank_with(index, outside, chosen))
    final = best_setting(grid)
    details = {"dense_weight": final.dense_weight, "title_boost": final.title_boost}
    return Trained("fusion", final, None, score(judged, rankings), details)


@dataclass(frozen=True, slots=True)
class _Work:
    prepared: Sequence[Prepared]
    judged: Judgments
    folds: NDArray[np.int64]
    retrieval: RetrievalParameters
    seed: int
    threads: int
    progress: Progress


def _lambdamart(
    name: str, work: _Work, extra: Sequence[Prepared], base_weights: Sequence[float]
) -> Trained:
    """The model with the best base weight out of fold, then fitted on everything."""
    parts = [
        [p for p, f in zip(work.prepared, work.folds, strict=True) if f == fold]
        for fold in range(FOLDS)
    ]
    best: tuple[Scores, float, int] | None = None
    for base_weight in base_weights:
        rankings: dict[str, list[str]] = {}
        trees: list[int] = []
        for fold in range(FOLDS):
            work.progress(f"{name}, base weight {base_weight:g}, fold {fold + 1} of {FOLDS}")
            # Early stopping looks at one of the training folds, never at the fold it is scored on.
            first, second = (parts[i] for i in range(FOLDS) if i != fold)
            count = lambdamart.choose_trees(
                [*first, *extra],
                second,
                seed=work.seed,
                base_weight=base_weight,
                threads=work.threads,
            )
            model = lambdamart.train(
                [*first, *second, *extra],
                trees=count,
                seed=work.seed,
                base_weight=base_weight,
                threads=work.threads,
            )
            trees.append(count)
            rankings.update(lambdamart.rank(parts[fold], model))
        scores = score(work.judged, rankings)
        if best is None or scores.mean() > best[0].mean():
            best = (scores, base_weight, round(float(np.mean(trees))))
    assert best is not None  # noqa: S101 - there is always a base weight
    scores, base_weight, count = best
    model = lambdamart.train(
        [*work.prepared, *extra],
        trees=count,
        seed=work.seed,
        base_weight=base_weight,
        threads=work.threads,
    )
    return Trained(
        name,
        work.retrieval,
        dump_reranker(model.text, model.base_weight),
        scores,
        {"trees": count, "base_weight": base_weight, "generated": len(extra)},
    )

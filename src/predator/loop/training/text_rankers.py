"""What a trained cross-encoder can become: a blend with the fused order, or columns for trees.

Both are scored out of fold, on the queries of the portfolio: a query's cross-encoder scores come
from a model that has not seen it, and what is learnt on top of them (the share of the blend, the
trees) comes from the queries of the other folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.learning.examples import Example
from predator.learning.lambdamart import FOLD_MODELS, LambdaMart, Prepared, prepare, rank
from predator.learning.measures import Scores, score
from predator.learning.splits import split_by_cluster
from predator.learning.stacking import WEIGHTS, Stacked, scores_by_id, with_scores
from predator.learning.trainable import Report, TrainingSet
from predator.loop.train import FOLDS, Trained
from predator.search.cross_encoder_files import keep_cross_encoder
from predator.search.rankers import Named, blended
from predator.search.rerank import dump_blend, dump_reranker

NAME = "cross_encoder"
SHALLOW = f"{NAME}_shallow"
"""The same, reading fewer candidates: as many as the latency gate leaves time for."""
SHOWN = 20


@dataclass(frozen=True, slots=True)
class Serving:
    """How a cross-encoder will serve: ``depth`` candidates within ``budget_ms`` a query."""

    depth: int = 30
    budget_ms: float = 400.0


def text_rankers(
    data: TrainingSet,
    stacked: Stacked,
    put: Callable[[bytes], str],
    serving: Serving,
    *,
    name: str = NAME,
    report: Report = lambda _what, _done, _total: None,
) -> list[Trained]:
    """The candidates ``name`` (a blend) and ``lambdamart+name``.

    ``data.retrieval`` are the parameters that ``stacked`` was made under, ``data.examples`` the
    judged ones of its lessons, in their order. The files go into a store by ``put``. What
    ``stacked`` has read beyond ``serving.depth`` counts for nothing. A blend of which the
    cross-encoder's best share is none is no candidate.
    """
    folds = split_by_cluster(data.clusters, [1.0] * FOLDS, np.random.default_rng(data.seed))
    if np.bincount(folds, minlength=FOLDS).min() == 0:
        raise InputError(
            f"{len(data.examples)} training queries do not make {FOLDS} groups",
            cure="bring more judgments",
        )
    read = replace(stacked, scores=[one[: serving.depth] for one in stacked.scores])
    known = scores_by_id(data.index, data.examples, data.retrieval, read)
    named = Named(NAME, keep_cross_encoder(put, stacked.files), serving.depth, serving.budget_ms)
    report(f"blending with {name}", 0, FOLDS + 2)
    blend = _blend(data, folds, known, named, name)
    return [*blend, _trees(data, folds, known, named, f"lambdamart+{name}", report)]


def _blend(
    data: TrainingSet, folds: NDArray[np.int64], known: Mapping[str, Any], named: Named, name: str
) -> list[Trained]:
    judged = _judged(data)
    rankings = {weight: _blended(data, known, weight) for weight in WEIGHTS}
    by_weight = {weight: score(judged, ranked) for weight, ranked in rankings.items()}
    place = {query: i for i, query in enumerate(judged)}
    order = [place[example.query.id] for example in data.examples]
    table = np.stack([by_weight[weight].ndcg[order] for weight in WEIGHTS])
    final = _best(table)
    if not final:
        return []
    chosen = {}
    for fold in range(FOLDS):
        weight = _best(table[:, folds != fold])
        for example, of in zip(data.examples, folds.tolist(), strict=True):
            if of == fold:
                chosen[example.query.id] = rankings[weight][example.query.id]
    details = {"weight": final, "depth": float(named.depth), "budget_ms": named.budget_ms}
    scores = score(judged, chosen)
    return [Trained(name, data.retrieval, dump_blend(named, final), scores, details)]


def _best(table: NDArray[np.float64]) -> float:
    """The share with the best mean over the queries (columns); of equals the least."""
    return WEIGHTS[int(np.argmax(np.round(table.mean(axis=1), 9)))]


def _blended(data: TrainingSet, known: Mapping[str, Any], weight: float) -> dict[str, list[str]]:
    return {
        example.query.id: _order(data, example, known.get(example.query.id, {}), weight)
        for example in data.examples
    }


def _order(
    data: TrainingSet, example: Example, known: Mapping[str, float], weight: float
) -> list[str]:
    found = example.refused(data.retrieval).take(data.retrieval.rerank)
    documents = example.ids(data.index, found.rows)
    scores = np.asarray([known.get(document, np.nan) for document in documents], float)
    mixed = blended(found.fused.astype(np.float64), scores, weight)
    return [documents[i] for i in np.argsort(-mixed, kind="stable")[:SHOWN].tolist()]


def _trees(
    data: TrainingSet,
    folds: NDArray[np.int64],
    known: Mapping[str, Any],
    named: Named,
    name: str,
    report: Report,
) -> Trained:
    plain = prepare(data.index, data.examples, data.retrieval)
    prepared = with_scores(plain, known, named.name)
    trees, in_folds = LambdaMart(), LambdaMart(models=FOLD_MODELS)
    whole = _prepared_as(data, prepared)
    rankings: dict[str, list[str]] = {}
    for fold in range(FOLDS):
        report(f"{name}, fold {fold + 1} of {FOLDS}", fold + 1, FOLDS + 2)
        model = in_folds.train(whole.pick(folds != fold), _quiet)
        outside = [one for one, of in zip(prepared, folds.tolist(), strict=True) if of == fold]
        rankings.update(rank(outside, model, SHOWN))
    report(f"{name}, on all queries", FOLDS + 1, FOLDS + 2)
    model = trees.train(whole, _quiet)
    reranker = dump_reranker(model.text, model.base_weight, [named])
    details = {
        "trees": float(model.trees), "base_weight": model.base_weight,
        "depth": float(named.depth), "budget_ms": named.budget_ms,
    }  # fmt: skip
    scores: Scores = score(_judged(data), rankings)
    report(name, FOLDS + 2, FOLDS + 2)
    return Trained(name, data.retrieval, reranker, scores, details)


def _prepared_as(data: TrainingSet, prepared: list[Prepared]) -> TrainingSet:
    """The same training set to :class:`LambdaMart`, with these columns."""
    column = np.empty(len(prepared), object)
    column[:] = prepared
    fresh = replace(data, _cache={})
    fresh.cached(f"prepared {data.retrieval}", lambda: column)
    return fresh


def _judged(data: TrainingSet) -> dict[str, Mapping[str, int]]:
    return {example.query.id: data.judgments[example.query.id] for example in data.examples}


def _quiet(_what: str, _done: int, _total: int) -> None:
    pass

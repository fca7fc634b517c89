"""Trainable: how candidates are found and fused. Cheap, and at times worth more than a model.

Learnt are the weight of the title, kind and weight of the fusion (also a weight for each language
that is asked often enough), and how deep candidates are taken from either side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Judgments
from predator.domain.errors import IntegrityError
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example
from predator.learning.measures import score
from predator.learning.trainable import Contributions, Ranked, Report, TrainingSet
from predator.search.index import Index
from predator.search.retrieve import Candidates, zscores

DENSE_WEIGHTS = tuple(i / 10 for i in range(11))
TITLE_BOOSTS = (0.0, 0.3, 1.0)
DEPTHS = (50, 100)
EQUAL = 0.5
LEAST_OF_A_LANGUAGE = 30
"""Queries in a language from which it gets a weight of its own: with a spread of 0.35 a query
their mean NDCG is known to 0.06, less than a wrong encoder costs (0.05 to 0.5)."""

GRID = (
    RetrievalParameters(fusion="rrf"),
    *(
        RetrievalParameters(fusion="weighted", dense_weight=weight, title_boost=boost)
        for boost, weight in product(TITLE_BOOSTS, DENSE_WEIGHTS)
    ),
)
"""Every setting tried, simplest first: ties go to the earlier one."""


class RetrievalTrainable:
    """Chooses the setting with the best mean NDCG@10; its model is the setting.

    With a ``tolerance`` (relative) it stays as near to equal weights as that loss allows.
    """

    name = "fusion"

    def __init__(self, tolerance: float = 0.0) -> None:
        self._tolerance = tolerance

    def train(self, data: TrainingSet, report: Report) -> RetrievalParameters:
        """The best setting on ``data``. Deterministic."""
        report(self.name, 0, 1)
        found = tune(
            grid_of(data), [e.analysed.language for e in data.examples], data.base, self._tolerance
        )
        best = found
        scores = _mean(data, found)
        for depth in DEPTHS[:-1]:
            shallower = replace(found, depth=depth, rerank=min(found.rerank, 2 * depth))
            if round(_mean(data, shallower), 9) >= round(scores, 9):
                best = shallower
                break
        report(self.name, 1, 1)
        return best

    def save(self, model: RetrievalParameters) -> dict[str, bytes]:
        return {"retrieval.json": json.dumps(model.to_json(), sort_keys=True).encode()}

    def load(self, files: Mapping[str, bytes]) -> RetrievalParameters:
        """The inverse of :meth:`save`; ``IntegrityError`` where the file says nothing usable."""
        try:
            return RetrievalParameters(**json.loads(files["retrieval.json"]))
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise IntegrityError(f"the retrieval parameters cannot be read: {error}") from error

    def score(
        self,
        model: RetrievalParameters,
        data: TrainingSet,  # noqa: ARG002 - the candidates say it all
        example: Example,
    ) -> Ranked:
        found = example.refused(model)
        return Ranked(found.rows, found.fused.astype(np.float64))

    def explain(
        self,
        model: RetrievalParameters,
        data: TrainingSet,  # noqa: ARG002 - the candidates say it all
        example: Example,
    ) -> Contributions:
        """What either side adds to the fused score of each candidate."""
        found = example.refused(model)
        return Contributions(found.rows, *_sides(model.asked_in(example.analysed.language), found))


def tune(
    grid: NDArray[np.float64],
    languages: Sequence[str],
    base: RetrievalParameters,
    tolerance: float = 0.0,
) -> RetrievalParameters:
    """The best setting, with weights for the languages that need another.

    ``grid`` is [settings of GRID, examples], ``languages`` that of each example's query. What
    ``base`` says of a language stays where too few queries say otherwise. With a ``tolerance``
    a setting within that share of the best is as good, and the one nearest to equal weights (to
    the weight in ``base``, of a language that it names) is taken.
    """
    asked = np.asarray(languages)
    weights = dict(base.language_weights)
    # Queries with a weight of their own say nothing about the others' weight.
    shared = ~np.isin(asked, list(weights))
    others = grid[:, shared] if shared.sum() >= LEAST_OF_A_LANGUAGE else grid
    chosen = _nearest(others, EQUAL, tolerance) if tolerance else best_setting(others)
    for language in sorted(set(languages)):
        here = grid[:, asked == language]
        if here.shape[1] < LEAST_OF_A_LANGUAGE:
            continue
        prior = weights.get(language)
        own = _own_weight(here, chosen, EQUAL if prior is None else prior, tolerance)
        known = chosen if prior is None else GRID[_place(chosen, _on_grid(prior))]
        gain = here[_place(chosen, own)] - here[GRID.index(known)]
        # Another weight than the known one only where it is more than luck: one standard error.
        if gain.mean() <= gain.std() / gain.size**0.5:
            continue
        if own == chosen.dense_weight and chosen.fusion == "weighted":
            weights.pop(language, None)
        else:
            weights[language] = own
    return replace(chosen, language_weights=tuple(weights.items()))


def _on_grid(weight: float) -> float:
    return min(DENSE_WEIGHTS, key=lambda known: abs(known - weight))


def _own_weight(
    grid: NDArray[np.float64], chosen: RetrievalParameters, prior: float, tolerance: float
) -> float:
    means = np.asarray(
        [round(float(grid[_place(chosen, weight)].mean()), 9) for weight in DENSE_WEIGHTS]
    )
    if not tolerance:
        return DENSE_WEIGHTS[int(np.argmax(means))]
    good = [w for w, mean in zip(DENSE_WEIGHTS, means, strict=True)
            if mean >= (1 - tolerance) * means.max()]  # fmt: skip
    return min(good, key=lambda weight: abs(weight - prior))


def _nearest(grid: NDArray[np.float64], prior: float, tolerance: float) -> RetrievalParameters:
    """The weighted sum nearest to ``prior`` and without a title's boost that is good enough."""
    means = np.round(grid.mean(axis=1), 9)
    good = [
        setting
        for setting, mean in zip(GRID, means.tolist(), strict=True)
        if mean >= (1 - tolerance) * float(means.max())
    ]

    def distance(setting: RetrievalParameters) -> float:
        away = abs(setting.dense_weight - prior) + setting.title_boost
        return away if setting.fusion == "weighted" else float("inf")

    return min(good, key=distance)


def _place(chosen: RetrievalParameters, weight: float) -> int:
    return GRID.index(replace(chosen, fusion="weighted", dense_weight=weight))


def grid_of(data: TrainingSet) -> NDArray[np.float64]:
    """NDCG@10 of every setting on every example of ``data``, computed once."""
    return data.cached("grid", lambda: score_grid(data.index, data.examples, data.judgments))


def rank_with(
    index: Index, examples: Sequence[Example], parameters: RetrievalParameters, k: int = 20
) -> dict[str, list[str]]:
    """The first ``k`` document ids of each example under other fusion parameters."""
    return {
        example.query.id: example.ids(index, example.best(parameters, k)) for example in examples
    }


def score_grid(
    index: Index, examples: Sequence[Example], judgments: Judgments
) -> NDArray[np.float64]:
    """NDCG@10 of every setting on every example, [settings, examples], the same candidates."""
    judged = {example.query.id: judgments[example.query.id] for example in examples}
    return np.stack(
        [
            score(judged, rank_with(index, examples, setting, 10), ("nDCG@10",)).ndcg
            for setting in GRID
        ]
    )


def best_setting(grid: NDArray[np.float64]) -> RetrievalParameters:
    """The setting with the highest mean over the examples (columns) given."""
    means = np.round(grid.mean(axis=1), 9)
    return GRID[int(np.argmax(means))]


def _mean(data: TrainingSet, parameters: RetrievalParameters) -> float:
    judged = {e.query.id: data.judgments[e.query.id] for e in data.examples}
    rankings = rank_with(data.index, data.examples, parameters, 10)
    return score(judged, rankings, ("nDCG@10",)).mean()


def _sides(
    parameters: RetrievalParameters, found: Candidates
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    if parameters.fusion == "rrf":
        k = parameters.rrf_k
        sides = [
            np.where(rank > 0, 1.0 / (k + rank), 0.0)
            for rank in (found.bm25_rank, found.dense_rank)
        ]
    else:
        weight = {"bm25": 0.0, "dense": 1.0, "zsum": 0.5}.get(
            parameters.fusion, parameters.dense_weight
        )
        sides = [(1 - weight) * zscores(found.bm25), weight * zscores(found.cosine)]
    return ("lexical", "dense"), np.stack(sides, axis=1).astype(np.float64)

"""The second stage: LambdaMART over the ranking features and other rankers' scores, or a blend.

Three formats: ``predator-lambdamart/1`` (features alone), ``predator-lambdamart/2`` (with columns
of other rankers) and ``predator-blend/1`` (the fused score and one ranker's, weighed).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.search.cross_encoder_files import Fetch
from predator.search.features import FEATURES
from predator.search.rankers import (
    Asked,
    Named,
    Ranker,
    blended,
    columns_of,
    is_share,
    load_rankers,
    names_of,
    read_named,
    standardised,
)
from predator.search.trees import canonical_model

_TREES, _STACKED, _BLEND = "predator-lambdamart/1", "predator-lambdamart/2", "predator-blend/1"
_CURE = "train it again"


class SecondStage(Protocol):
    """What orders the candidates that were found."""

    @property
    def names(self) -> Sequence[str]:
        """The features that contributions are told of."""
        ...

    def score(
        self,
        matrix: NDArray[np.float32],
        fused: NDArray[np.float32],
        asked: Asked | None = None,
    ) -> NDArray[np.float64]:
        """One score per row of [rows, features] in fused order; higher is better."""
        ...

    def contributions(
        self,
        matrix: NDArray[np.float32],
        fused: NDArray[np.float32] | None = None,
        asked: Asked | None = None,
    ) -> NDArray[np.float64]:
        """What each feature adds, by row: [rows, names + 1], the last column is the base."""
        ...


class Reranker:
    """LambdaMART. Scores feature matrices; loaded from JSON that wraps LightGBM's text format.

    With ``rankers`` it needs to be told what was ``asked``, and appends their columns itself.
    """

    def __init__(
        self,
        booster: Any,
        base_weight: float,
        names: Sequence[str] = FEATURES,
        rankers: Sequence[Ranker] = (),
    ) -> None:
        self.names = names
        self._booster = booster
        self._base_weight = base_weight
        self._rankers = rankers

    def score(
        self,
        matrix: NDArray[np.float32],
        fused: NDArray[np.float32],
        asked: Asked | None = None,
    ) -> NDArray[np.float64]:
        """One score per row of [rows, features], on top of the fused score; higher is better."""
        trees: NDArray[np.float64] = self._booster.predict(
            self._whole(matrix, asked), num_threads=1
        )
        scores: NDArray[np.float64] = self._base_weight * fused.astype(np.float64) + trees
        return scores

    def contributions(
        self,
        matrix: NDArray[np.float32],
        fused: NDArray[np.float32] | None = None,  # noqa: ARG002 - no share of the trees
        asked: Asked | None = None,
    ) -> NDArray[np.float64]:
        """TreeSHAP by row: [rows, names + 1], the last column is the expected value."""
        shares: NDArray[np.float64] = self._booster.predict(
            self._whole(matrix, asked), num_threads=1, pred_contrib=True
        )
        return shares

    def _whole(self, matrix: NDArray[np.float32], asked: Asked | None) -> NDArray[np.float32]:
        if not self._rankers:
            return matrix
        scores = [ranker.score(_known(asked)) for ranker in self._rankers]
        return np.concatenate([matrix, columns_of(scores)], axis=1)


class Blend:
    """The simplest second stage that reads texts: a weighted sum of two standardised scores."""

    def __init__(self, ranker: Ranker, weight: float) -> None:
        self.names = ("fused", ranker.about.name)
        self._ranker, self._weight = ranker, weight

    def score(
        self,
        matrix: NDArray[np.float32],  # noqa: ARG002 - it reads texts
        fused: NDArray[np.float32],
        asked: Asked | None = None,
    ) -> NDArray[np.float64]:
        """As :func:`~predator.search.rankers.blended` says."""
        return blended(fused.astype(np.float64), self._ranker.score(_known(asked)), self._weight)

    def contributions(
        self,
        matrix: NDArray[np.float32],
        fused: NDArray[np.float32] | None = None,
        asked: Asked | None = None,
    ) -> NDArray[np.float64]:
        """The two addends of each row that was read, 0 elsewhere; the base is 0."""
        known = np.zeros(len(matrix)) if fused is None else fused.astype(np.float64)
        scores = self._ranker.score(_known(asked))
        read = np.isfinite(scores)
        shares = np.zeros((len(matrix), 3))
        shares[read, 0] = (1 - self._weight) * standardised(known[read])
        shares[read, 1] = self._weight * standardised(scores[read])
        return shares


def dump_reranker(model_text: str, base_weight: float, rankers: Sequence[Named] = ()) -> bytes:
    """The bytes kept in the object store: features by name, then LightGBM's own text.

    The model's features are ``FEATURES``, and after them the columns of ``rankers``.
    """
    value: dict[str, Any] = {
        "format": _STACKED if rankers else _TREES,
        "features": _columns(rankers),
        "base_weight": base_weight,
        "model": model_text,
    }
    if rankers:
        value["rankers"] = [one.to_json() for one in rankers]
    return json.dumps(value, indent=0).encode()


def dump_blend(ranker: Named, weight: float) -> bytes:
    """The bytes of a blend that gives ``ranker`` the share ``weight``, 0 to 1."""
    value = {"format": _BLEND, "weight": weight, "rankers": [ranker.to_json()]}
    return json.dumps(value, indent=0).encode()


def load_reranker(
    data: bytes, fetch: Fetch | None = None, *, budgeted: bool = True
) -> Reranker | Blend:
    """The inverse of :func:`dump_reranker` and :func:`dump_blend`.

    ``fetch`` gives objects by digest, for rankers that the file names. Without ``budgeted`` they
    take the time they need, so that an evaluation says the same on a busy machine. ``InputError``
    where the file does not fit, ``IntegrityError`` where a ranker's bytes are damaged.
    """
    value = _parsed(data)
    try:
        named = read_named(value["rankers"]) if value["format"] in (_STACKED, _BLEND) else ()
        if value["format"] == _BLEND:
            (one,) = named
            if not is_share(value["weight"]):
                raise TypeError("the weight is no share")
            (ranker,) = load_rankers((one,), fetch, budgeted=budgeted)
            return Blend(ranker, float(value["weight"]))
        header, names, text = value["format"], value["features"], value["model"]
        base_weight = float(value["base_weight"])
        if not isinstance(text, str) or not math.isfinite(base_weight):
            raise TypeError("a field is of the wrong type")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise InputError("the reranker file cannot be read", cure=_CURE) from error
    if header not in (_TREES, _STACKED) or names != _columns(named):
        raise InputError(
            "the reranker was trained on other features than this version computes", cure=_CURE
        )
    booster = load_booster(text, names)
    rankers = load_rankers(named, fetch, budgeted=budgeted) if named else ()
    return Reranker(booster, base_weight, names, rankers)


def load_booster(text: str, names: Sequence[str]) -> Any:
    """LightGBM's booster over the features ``names``; ``InputError`` for any other text."""
    import lightgbm

    try:
        return lightgbm.Booster(model_str=canonical_model(text, names))
    except (ValueError, lightgbm.basic.LightGBMError) as error:
        raise InputError("the reranker's trees cannot be read", cure=_CURE) from error


def parts_of_reranker(data: bytes) -> tuple[str, ...]:
    """The digests of the cross-encoders that a reranker's file names; ``InputError`` where it
    cannot be read."""
    try:
        return names_of(_parsed(data))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError("the reranker file cannot be read", cure=_CURE) from error


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
        if not isinstance(value, dict) or not isinstance(value["format"], str):
            raise TypeError("no object")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError("the reranker file cannot be read", cure=_CURE) from error
    return value


def _columns(rankers: Sequence[Named]) -> list[str]:
    return [*FEATURES, *(one.column for one in rankers)]


def _known(asked: Asked | None) -> Asked:
    if asked is None:
        raise InputError("a reranker that reads texts has to be told what was asked")
    return asked

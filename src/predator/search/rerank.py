"""The second stage: a LambdaMART model over the ranking features."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.search.features import FEATURES
from predator.search.trees import canonical_model

_HEADER = "predator-lambdamart/1"


class Reranker:
    """Scores feature matrices. Loaded from JSON that wraps LightGBM's text format."""

    def __init__(self, booster: Any, base_weight: float) -> None:
        self._booster = booster
        self._base_weight = base_weight

    def score(self, matrix: NDArray[np.float32], fused: NDArray[np.float32]) -> NDArray[np.float64]:
        """One score per row of [rows, features], on top of the fused score; higher is better."""
        trees: NDArray[np.float64] = self._booster.predict(matrix, num_threads=1)
        scores: NDArray[np.float64] = self._base_weight * fused.astype(np.float64) + trees
        return scores

    def contributions(self, matrix: NDArray[np.float32]) -> NDArray[np.float64]:
        """TreeSHAP by row: [rows, features + 1], the last column is the expected value."""
        shares: NDArray[np.float64] = self._booster.predict(
            matrix, num_threads=1, pred_contrib=True
        )
        return shares


def dump_reranker(model_text: str, base_weight: float) -> bytes:
    """The bytes kept in the object store: features by name, then LightGBM's own text."""
    value = {
        "format": _HEADER,
        "features": list(FEATURES),
        "base_weight": base_weight,
        "model": model_text,
    }
    return json.dumps(value, indent=0).encode()


def load_reranker(data: bytes) -> Reranker:
    """The inverse of :func:`dump_reranker`; ``InputError`` where the file does not fit."""
    import lightgbm

    try:
        value = json.loads(data)
        header, names, text = value["format"], value["features"], value["model"]
        base_weight = float(value["base_weight"])
        if not isinstance(text, str) or not math.isfinite(base_weight):
            raise TypeError("a field is of the wrong type")
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise InputError("the reranker file cannot be read", cure="train it again") from error
    if header != _HEADER or names != list(FEATURES):
        raise InputError(
            "the reranker was trained on other features than this version computes",
            cure="train it again",
        )
    try:
        booster = lightgbm.Booster(model_str=canonical_model(text, FEATURES))
        return Reranker(booster, base_weight)
    except (ValueError, lightgbm.basic.LightGBMError) as error:
        raise InputError("the reranker's trees cannot be read", cure="train it again") from error

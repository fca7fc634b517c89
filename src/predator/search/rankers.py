"""Other rankers whose scores a reranker reads, such as a cross-encoder: named, loaded, columns."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.errors import InputError
from predator.search.cross_encoder import load_cross_encoder, passage
from predator.search.cross_encoder_files import Fetch
from predator.search.features import FEATURES

MOST_RANKERS = 4
MOST_DEPTH = 1000
MOST_BUDGET_MS = 60_000.0

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """A query and its candidates in fused order, for rankers that read texts."""

    query: str
    documents: Sequence[Document]


class Scorer(Protocol):
    """What reads a query with texts (:class:`~predator.search.cross_encoder.CrossEncoder`)."""

    def score(
        self, query: str, documents: Sequence[str], *, budget_ms: float | None = None
    ) -> NDArray[np.float64]:
        """A score each, higher is better; NaN where the budget left no time."""
        ...


@dataclass(frozen=True, slots=True)
class Named:
    """A ranker as a reranker's file names it.

    ``digest`` is the cross-encoder's, ``depth`` how many candidates it reads, first to last, and
    ``budget_ms`` the time it gets for all of them. ``ValueError`` for what cannot be served.
    """

    name: str
    digest: str
    depth: int
    budget_ms: float

    def __post_init__(self) -> None:
        for text, pattern in ((self.name, _NAME), (self.digest, _DIGEST)):
            if not isinstance(text, str) or pattern.fullmatch(text) is None:
                raise ValueError(f"{text!r:.80} cannot name a ranker")
        if type(self.depth) is not int or not 1 <= self.depth <= MOST_DEPTH:
            raise ValueError(f"a ranker's depth is {self.depth!r:.40}")
        # A NaN fails both comparisons.
        if type(self.budget_ms) not in {int, float} or not 0 < self.budget_ms <= MOST_BUDGET_MS:
            raise ValueError(f"a ranker's budget is {self.budget_ms!r:.40} ms")

    @property
    def column(self) -> str:
        """Its feature, as :func:`column_named` says."""
        return column_named(self.name)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Ranker:
    """A named ranker with its model. Without ``budgeted`` it takes the time that it needs."""

    about: Named
    scorer: Scorer
    budgeted: bool = True

    def score(self, asked: Asked) -> NDArray[np.float64]:
        """A score for each candidate [rows]; NaN beyond its depth, and where time ran out."""
        texts = [passage(document) for document in asked.documents[: self.about.depth]]
        scores = np.full(len(asked.documents), np.nan)
        scores[: len(texts)] = self.scorer.score(
            asked.query, texts, budget_ms=self.about.budget_ms if self.budgeted else None
        )
        return scores


def read_named(values: object) -> tuple[Named, ...]:
    """The rankers that a file names; ``ValueError`` or ``TypeError`` for anything else."""
    if not isinstance(values, list) or not 1 <= len(values) <= MOST_RANKERS:
        raise ValueError(f"a reranker reads 1 to {MOST_RANKERS} other rankers")
    named = tuple(Named(**value) for value in values)
    if len({*FEATURES, *(one.column for one in named)}) != len(FEATURES) + len(named):
        raise ValueError("a ranker has the name of another, or of a feature")
    return named


def load_rankers(
    named: Sequence[Named], fetch: Fetch | None, *, budgeted: bool = True
) -> list[Ranker]:
    """The rankers with their models out of ``fetch``.

    ``InputError`` where there is no ``fetch`` or a model cannot be used, ``IntegrityError`` where
    its bytes are missing or damaged.
    """
    if fetch is None:
        raise InputError(
            "the reranker reads other rankers, and there is no store to load them from"
        )
    return [Ranker(one, load_cross_encoder(one.digest, fetch), budgeted) for one in named]


def column_named(name: str) -> str:
    """The feature of a ranker: its score, standardised over the candidates that it read.

    Not the score itself: its scale is another one in each model, and trees that have learnt
    thresholds from the models of the folds would apply them to those of the one that serves.
    """
    return f"{name}_z"


def columns_of(scores: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """The features of some rankers' scores [rows] each: [rows, rankers], for serving and training
    alike. What was not scored stays NaN, which LightGBM reads as missing."""
    return np.stack([standardised(one) for one in scores], axis=1).astype(np.float32)


def standardised(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """z-scores over the finite entries; the others stay NaN."""
    finite = np.isfinite(scores)
    found = np.full(len(scores), np.nan)
    if finite.any():
        values = scores[finite]
        spread = float(values.std())
        found[finite] = (values - values.mean()) / (spread if spread > 1e-9 else 1.0)
    return found


def blended(
    fused: NDArray[np.float64], scores: NDArray[np.float64], weight: float
) -> NDArray[np.float64]:
    """``(1 - weight) · z(fused) + weight · z(scores)`` of the candidates that were scored.

    The others follow them in fused order, so that a ranker that runs out of time changes the
    order of what it has read, and of nothing else.
    """
    read = np.isfinite(scores)
    found = np.empty(len(scores))
    if not read.any():
        return fused.astype(np.float64)
    mixed = (1 - weight) * standardised(fused[read]) + weight * standardised(scores[read])
    found[read] = mixed
    last = float(mixed.min())
    found[~read] = last - 1 - np.arange(int((~read).sum()))
    return found


def is_share(value: object) -> bool:
    """Whether a file's number is a share, 0 to 1."""
    # A NaN fails both comparisons.
    return type(value) in {int, float} and 0 <= value <= 1  # type: ignore[operator]


def names_of(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The digests that a reranker's parsed file depends on."""
    return tuple(one.digest for one in read_named(value["rankers"])) if "rankers" in value else ()

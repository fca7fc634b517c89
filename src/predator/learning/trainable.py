"""The shape of everything that can be trained, and what it is trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Judgments
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example
from predator.search.index import Index

Report = Callable[[str, int, int], None]
"""``report(what, done, total)``: progress."""

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows of the index with a score each [rows], higher is better, in any order."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]

    def best(self, k: int) -> NDArray[np.int64]:
        """The first ``k`` rows; equal scores in the order given."""
        return self.rows[np.argsort(-self.scores, kind="stable")[:k]]


@dataclass(frozen=True, slots=True)
class Contributions:
    """What each named part adds to the score of each row: ``values`` is [rows, names]."""

    rows: NDArray[np.int64]
    names: Sequence[str]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class TrainingSet:
    """Judged queries with their candidates, and how the release in force retrieves.

    ``clusters`` numbers the query cluster of each example: folds never part one. ``generated``
    examples may be learnt from and are never scored on; they were found in ``masked``, where that
    is given: an index of documents without what the queries were made from. ``base`` are the
    parameters of the live release, ``retrieval`` those that the candidate will have.
    """

    index: Index
    examples: Sequence[Example]
    judgments: Judgments
    clusters: NDArray[np.int64]
    seed: int = 0
    threads: int = 1
    generated: Sequence[Example] = ()
    base: RetrievalParameters = field(default_factory=RetrievalParameters)
    retrieval: RetrievalParameters = field(default_factory=RetrievalParameters)
    masked: Index | None = None
    _cache: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def generated_index(self) -> Index:
        """Where the generated examples were found."""
        return self.index if self.masked is None else self.masked

    def pick(self, mask: NDArray[np.bool_]) -> TrainingSet:
        """The examples of ``mask``; what was computed of all of them is kept."""
        chosen = [e for e, inside in zip(self.examples, mask, strict=True) if inside]
        cache = {name: values[..., mask] for name, values in self._cache.items()}
        return replace(self, examples=chosen, clusters=self.clusters[mask], _cache=cache)

    def cached(self, name: str, compute: Callable[[], NDArray[np.float64]]) -> NDArray[np.float64]:
        """An array whose last axis is the examples, computed at most once."""
        if name not in self._cache:
            self._cache[name] = compute()
        found: NDArray[np.float64] = self._cache[name]
        return found


class Trainable(Protocol[M]):
    """One kind of model: how it learns, how it is kept, what it says and why.

    ``train`` raises ``InputError`` where there is nothing to learn from; it is deterministic for
    the same data and seed. ``load`` is the inverse of ``save`` and refuses what cannot be a model.
    """

    @property
    def name(self) -> str: ...

    def train(self, data: TrainingSet, report: Report) -> M: ...

    def save(self, model: M) -> Mapping[str, bytes]: ...

    def load(self, files: Mapping[str, bytes]) -> M: ...

    def score(self, model: M, data: TrainingSet, example: Example) -> Ranked: ...

    def explain(self, model: M, data: TrainingSet, example: Example) -> Contributions: ...

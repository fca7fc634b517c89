"""Judged collections in which it is known what makes a document relevant."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document, Judgments, Query
from predator.learning.examples import Example, collect
from predator.search.index import Index
from tests.search.fakes import HashedEncoder, indexed

ALIKE = 6
"""Documents that hold a query's two words equally often; one of them is relevant."""


@dataclass(frozen=True)
class World:
    index: Index
    queries: list[Query]
    judgments: Judgments
    examples: list[Example]

    @property
    def clusters(self) -> NDArray[np.int64]:
        return np.arange(len(self.queries))


def world(queries: int, *, noise: bool = False, seed: int = 0, depth: int = 15) -> World:
    """The relevant one of the alike has a long title, or with ``noise`` is drawn by lot.

    No fusion of lexical and dense scores can tell it; ``title_terms_log`` can.
    """
    rng = np.random.default_rng(seed)
    filler = [f"filler{chr(97 + i)}" for i in range(26)]

    def words(count: int) -> list[str]:
        return [filler[i] for i in rng.integers(0, 26, count)]

    documents, asked, judgments = [], [], {}
    for number in range(queries):
        topic = [f"topic{number}a", f"topic{number}b"]
        chosen = int(rng.integers(ALIKE))
        for place in range(ALIKE):
            title = words(9 if place == chosen else 3)
            text = rng.permutation([*topic, *words(14 - len(title))])
            documents.append(Document(f"d{number}-{place}", " ".join(title), " ".join(text)))
        asked.append(Query(f"q{number}", " ".join(topic)))
        relevant = int(rng.integers(ALIKE)) if noise else chosen
        judgments[f"q{number}"] = {f"d{number}-{relevant}": 1}
    index = indexed(documents)
    return World(index, asked, judgments, collect(index, HashedEncoder(), asked, judgments, depth))

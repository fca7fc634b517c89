"""The built-in methods behind the port: no model, no network, the same queries every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from predator.adapters.query_writer.proposals import checked_count
from predator.domain.documents import Document
from predator.learning.query_generation import generate_queries
from predator.ports.query_writer import Progress, Spent, Written


class BuiltInQueryWriter:
    """``QueryWriter`` over titles, first sentences, key phrases and cloze sentences.

    ``like`` are real queries to learn lengths from. Deterministic for the same ``seed``.
    """

    name = "built_in"

    def __init__(self, seed: int = 0, like: Sequence[str] = ()) -> None:
        self._seed, self._like = seed, tuple(like)
        self._spent = Spent()

    def write(
        self,
        documents: Sequence[Document],
        count_each: int,
        progress: Progress = lambda _done, _total: None,
    ) -> Sequence[Written]:
        wanted = checked_count(count_each) * len(documents)
        made = generate_queries(
            documents, wanted, np.random.default_rng(self._seed), like=self._like
        )
        of: dict[str, list[str]] = {}
        for one in made:
            of.setdefault(one.document_id, []).append(one.query)
        self._spent = replace(self._spent, documents=self._spent.documents + len(of))
        if documents:
            progress(len(documents), len(documents))
        ids = dict.fromkeys(document.id for document in documents)
        return [(query, known) for known in ids for query in of.get(known, ())[:count_each]]

    def spent(self) -> Spent:
        return self._spent

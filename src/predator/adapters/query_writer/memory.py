"""A writer for tests and dry runs: a function says what a model would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from predator.adapters.query_writer.proposals import accepted, askable, checked_count, lines_of
from predator.domain.documents import Document
from predator.ports.query_writer import Progress, Spent, Written


class MemoryQueryWriter:
    """``QueryWriter`` whose answers are those of ``answer``, read as a model's are."""

    name = "memory"

    def __init__(self, answer: Callable[[Document], str]) -> None:
        self._answer = answer
        self._spent = Spent()

    def write(
        self,
        documents: Sequence[Document],
        count_each: int,
        progress: Progress = lambda _done, _total: None,
    ) -> Sequence[Written]:
        checked_count(count_each)
        written: list[Written] = []
        asked = askable(documents) if count_each else []
        for done, document in enumerate(asked, start=1):
            queries, refused = accepted(lines_of(self._answer(document)), document, count_each)
            written += [(query, document.id) for query in queries]
            self._spent = replace(
                self._spent,
                documents=self._spent.documents + 1,
                refused=self._spent.refused + refused,
            )
            progress(done, len(asked))
        return written

    def spent(self) -> Spent:
        return self._spent

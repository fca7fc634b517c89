"""Who writes queries that a document answers, where people have asked too few."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from predator.domain.documents import Document

Written = tuple[str, str]
"""A query, and the id of the document that it was written from."""
Progress = Callable[[int, int], None]
"""(documents done, documents in all)."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What a writer has used since it was made.

    ``failed`` documents got no answer, ``unasked`` ones came after the budget was spent;
    ``refused`` counts proposals that were no query. Tokens are the vendor's count, or a quarter
    of the characters where it gives none (``estimated`` counts those answers).
    """

    documents: int = 0
    failed: int = 0
    unasked: int = 0
    refused: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0
    cost_usd: float = 0.0


class QueryWriter(Protocol):
    """Proposes queries. Nothing else is done with what it says: filters and training judge it."""

    @property
    def name(self) -> str:
        """Names the way the queries were made: ``[a-z0-9_]``, 1 to 40 characters."""
        ...

    def write(
        self,
        documents: Sequence[Document],
        count_each: int,
        progress: Progress = lambda _done, _total: None,
    ) -> Sequence[Written]:
        """At most ``count_each`` (≥ 0) different queries a document, in the documents' order.

        Every query is one printable line of at most 200 characters that shares a term with its
        document. Documents that hold nothing, or that the writer fails at, have none; ``spent``
        counts them. ``InputError`` where nothing can be written as things are set,
        ``PredatorError`` where the writer answers nobody.
        """
        ...

    def spent(self) -> Spent:
        """What was used so far."""
        ...

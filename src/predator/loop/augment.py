"""Station 3: which documents training queries are made from.

How they are made and filtered is :mod:`predator.learning.query_generation`; ``dataset_stage`` runs
it as a recorded DVC stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from predator.domain.documents import Document
from predator.search.analyze import terms


def sources(
    documents: Sequence[Document], wanted: Iterable[str], most: int, categories: Sequence[str]
) -> list[Document]:
    """Up to ``most`` documents for generation: those with most of the wanted terms first.

    Among equals, documents of the affected categories come first, then the order given.
    """
    goal = frozenset(wanted)
    affected = frozenset(categories)

    def rank(document: Document) -> tuple[int, bool]:
        held = goal.intersection(terms(f"{document.title[:2000]} {document.text[:2000]}"))
        return -len(held), document.category not in affected

    ranked = sorted(((rank(document), i) for i, document in enumerate(documents)))
    return [documents[i] for (hits, outside), i in ranked if hits < 0 or not outside][:most]

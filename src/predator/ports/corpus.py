"""The documents that can be found now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from predator.domain.documents import Document


class Corpus(Protocol):
    """Reads back what the processor made of the documents it accepted."""

    def documents(self) -> Sequence[Document]:
        """Every indexed document, processed, in the order of arrival."""
        ...

    def arrivals(self) -> Mapping[str, float]:
        """When each indexed document became findable (unix s), by id."""
        ...

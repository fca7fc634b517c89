"""The identity of a collection's content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

from predator.domain.canonical import canonical_json
from predator.domain.documents import Document, Judgments, Query


def content_digest(
    documents: Iterable[Document], queries: Iterable[Query], splits: Mapping[str, Judgments]
) -> str:
    """SHA-256 (hex) of what is searched, asked and judged, whatever order it was read in."""
    digest = hashlib.sha256()
    for record in _records(documents, queries, splits):
        digest.update(canonical_json(record))
        digest.update(b"\n")
    return digest.hexdigest()


def _records(
    documents: Iterable[Document], queries: Iterable[Query], splits: Mapping[str, Judgments]
) -> Iterator[list[str | int]]:
    for document in sorted(documents, key=lambda document: document.id):
        yield [
            "document",
            document.id,
            document.title,
            document.text,
            document.category,
            document.language,
        ]
    for query in sorted(queries, key=lambda query: query.id):
        yield ["query", query.id, query.text]
    for split, judgments in sorted(splits.items()):
        for query_id, grades in sorted(judgments.items()):
            for document_id, grade in sorted(grades.items()):
                yield ["judgment", split, query_id, document_id, grade]

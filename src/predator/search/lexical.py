"""The lexical side: BM25 over pre-analysed terms, in tantivy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tantivy
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


class LexicalIndex:
    """Inverted lists of title and text together; rows are the caller's numbers.

    One writer, many readers: a search sees the state of the last :meth:`commit`.
    BM25 with tantivy's fixed k1 = 1.2 and b = 0.75.
    """

    def __init__(self) -> None:
        builder = tantivy.SchemaBuilder()
        # Signed: a deletion by term silently misses an unsigned field (tantivy-py 0.27).
        builder.add_integer_field("row", stored=False, indexed=True, fast=True)
        builder.add_text_field(
            "all", stored=False, tokenizer_name="whitespace", index_option="freq"
        )
        self._schema = builder.build()
        self._index = tantivy.Index(self._schema)
        self._writer = self._index.writer(heap_size=64_000_000, num_threads=1)
        self._searcher = self._index.searcher()

    def add(self, row: int, terms: Sequence[str]) -> None:
        document = tantivy.Document()
        document.add_integer("row", row)
        document.add_text("all", " ".join(terms))
        self._writer.add_document(document)

    def remove(self, rows: Iterable[int]) -> None:
        for row in rows:
            self._writer.delete_documents_by_term("row", row)

    def commit(self) -> None:
        """Make what was added and removed visible to searches."""
        self._writer.commit()
        self._index.reload()
        self._searcher = self._index.searcher()

    def search(self, query_terms: Sequence[str], depth: int) -> tuple[Rows, Scores]:
        """The best ``depth`` rows and their scores, best first; empty where no term matches."""
        if not query_terms:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        should = tantivy.Occur.Should
        clauses: list[Any] = []
        for term, count in Counter(query_terms).items():
            clauses.append((should, self._term(term, float(count))))
        searcher = self._searcher
        hits = searcher.search(tantivy.Query.boolean_query(clauses), depth, count=False).hits
        rows = searcher.fast_field_values("row", [address for _, address in hits])
        return (
            np.asarray(rows, np.int64),
            np.asarray([score for score, _ in hits], np.float32),
        )

    def _term(self, term: str, boost: float) -> Any:
        query = tantivy.Query.term_query(self._schema, "all", term, index_option="freq")
        return query if boost == 1.0 else tantivy.Query.boost_query(query, boost)

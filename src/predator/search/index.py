"""The index: every document's terms, vector and text by row, growing while it serves."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.search.analyze import grams, terms
from predator.search.forward import Floats, ForwardField
from predator.search.lexical import LexicalIndex
from predator.search.processor import detect_language
from predator.search.vectors import VectorIndex


@dataclass(frozen=True, slots=True)
class AnalysedQuery:
    """A query as the index sees it: its terms, the ids and counts of the distinct ones, the ids
    of its distinct character trigrams, and its language."""

    text: str
    terms: Sequence[str]
    term_ids: NDArray[np.int32]
    weights: Floats
    gram_ids: NDArray[np.int32]
    language: str


class Index:
    """Lexical, forward and vector sides over one numbering of rows.

    Rows are append-only: a document that comes again gets a new row and its old one is
    withdrawn. One writer at a time, any number of readers.

    Vectors of different encoders cannot be compared, so each encoder has a space of its own
    (``spaces``, by the encoder's digest). ``vectors`` is the one that searches through this
    object read: that of ``encoder``, which the index was made for. :meth:`seen_by` gives the
    same index with another space in that place.
    """

    def __init__(self, dimension: int, encoder: str = "") -> None:
        self.documents: list[Document] = []
        self.lexical = LexicalIndex()
        self.encoder = encoder
        self.vectors = VectorIndex(dimension)
        self.spaces: dict[str, VectorIndex] = {encoder: self.vectors}
        self.all = ForwardField()
        self.title = ForwardField()
        self.title_grams = ForwardField()
        self._vocabulary: dict[str, int] = {}
        self._row_of: dict[str, int] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._row_of)

    def row_of(self, document_id: str) -> int | None:
        """The live row of a document, ``None`` where it is not indexed."""
        return self._row_of.get(document_id)

    def add(self, documents: Sequence[Document]) -> list[int]:
        """Index ``documents`` on the lexical side, visible at return; the rows they got."""
        with self._lock:
            rows: list[int] = []
            for document in documents:
                row = len(self.documents)
                title_terms = terms(document.title)
                all_terms = title_terms + terms(document.text)
                self.all.add(self._ids(all_terms), len(self._vocabulary))
                self.title.add(self._ids(title_terms), len(self._vocabulary))
                self.title_grams.add(self._ids(grams(document.title)), len(self._vocabulary))
                self.documents.append(document)
                self.lexical.add(row, all_terms)
                old = self._row_of.get(document.id)
                if old is not None:
                    self.lexical.remove([old])
                    for space in self.spaces.values():
                        space.remove(old)
                self._row_of[document.id] = row
                rows.append(row)
            self.lexical.commit()
            return rows

    def seen_by(self, encoder: str) -> Index:
        """This index as a release of ``encoder`` reads it; ``KeyError`` without such a space.

        Everything is shared but the choice of ``vectors``, so a view costs nothing and sees
        documents that come later. It keeps its space readable after :meth:`drop_space`.
        """
        view = copy.copy(self)
        view.encoder, view.vectors = encoder, self.spaces[encoder]
        return view

    def open_space(self, encoder: str, dimension: int) -> VectorIndex:
        """The space of ``encoder``, empty where there was none; withdrawals reach it from now."""
        with self._lock:
            if encoder not in self.spaces:
                self.spaces[encoder] = VectorIndex(dimension)
            return self.spaces[encoder]

    def drop_space(self, encoder: str) -> None:
        """Forget the space of ``encoder``; views that searches still hold stay readable."""
        with self._lock:
            dropped = self.spaces.pop(encoder, None)
            if dropped is self.vectors:
                self.vectors = VectorIndex(dropped.dimension)

    def live_rows(self) -> NDArray[np.int64]:
        """The rows of all documents that can be found, in no order."""
        with self._lock:
            return np.fromiter(self._row_of.values(), np.int64, len(self._row_of))

    def set_vectors(self, rows: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Fill in the dense side; rows withdrawn meanwhile are passed over."""
        with self._lock:
            live = [
                i for i, row in enumerate(rows) if self._row_of.get(self.documents[row].id) == row
            ]
            self.vectors.add(np.asarray(rows, np.int64)[live], vectors[live])

    def analyse(self, text: str) -> AnalysedQuery:
        """The query's terms; terms that no document holds get ids below 0."""
        query_terms = terms(text)
        counts = Counter(query_terms)
        return AnalysedQuery(
            text,
            query_terms,
            self._lookup(counts),
            np.asarray(list(counts.values()), np.float32),
            self._lookup(dict.fromkeys(grams(text))),
            detect_language(text),
        )

    def known_term(self, term: str) -> bool:
        """Whether any document holds the (analysed) term."""
        return term in self._vocabulary

    def _lookup(self, words: Iterable[str]) -> NDArray[np.int32]:
        """Ids of distinct words; unknown ones get ids that no word will ever have."""
        unknown = count(-1, -1)
        known = self._vocabulary
        return np.asarray(
            [known[word] if word in known else next(unknown) for word in words], np.int32
        )

    def _ids(self, words: Sequence[str]) -> list[int]:
        vocabulary = self._vocabulary
        return [vocabulary.setdefault(word, len(vocabulary)) for word in words]

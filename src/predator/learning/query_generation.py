"""Training queries made from documents: each should find the document that it was made from.

Title, first sentence, key phrase, and the inverse cloze task (Lee, Chang, Toutanova 2019: a
sentence asks for the text around it). Pure: chance is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from predator.domain.documents import Document
from predator.learning.query_filters import Limits, Sieve
from predator.learning.query_methods import METHODS, held_terms, style_of
from predator.learning.query_text import content, without

MOST_PASSES = 16
"""How often a document is asked for a query at most, however many are wanted."""
LEFT_SHARE = 0.5
"""Least share of a document that stays when the spans of its second and later queries are taken
out: with less of its text it is another document."""
CHUNK = 256
"""Queries that are compared with Gold at once."""

Progress = Callable[[int, int], None]
"""(queries kept, queries wanted)."""


@dataclass(frozen=True, slots=True)
class Generated:
    """A query made from a document that should answer it.

    ``span`` are the characters of the document's :func:`~predator.learning.query_text.content` that
    the query was taken from, ``None`` where nothing is to be taken out. A learner uses the pair
    with :func:`masked` documents: it learns to copy otherwise, because the query's words stand in
    its source side by side.
    """

    query: str
    document_id: str
    method: str
    span: tuple[int, int] | None = None


def generate_queries(
    documents: Sequence[Document],
    count: int,
    rng: np.random.Generator,
    *,
    like: Sequence[str] = (),
    marks: Sequence[str] = (),
    progress: Progress = lambda _done, _wanted: None,
) -> list[Generated]:
    """At most ``count`` different queries, in random order, the methods in about equal shares.

    ``like`` are real queries (from training or logs, never Gold): lengths and richness in common
    words are learnt from them. ``marks`` are the :func:`~predator.learning.leakage.gold_marks` of
    questions that must not be among the queries in any words.

    Documents are asked in turn, so that none teaches twice before every other has taught once.
    The same arguments make the same queries. Documents that hold nothing to ask for are passed
    over.
    """
    sieve = Sieve(Limits.of(count, len(documents), like), marks)
    kept = sift(documents, count, rng, sieve, like=like, progress=progress)
    return [kept[i] for i in rng.permutation(len(kept))]


def sift(
    documents: Sequence[Document],
    count: int,
    rng: np.random.Generator,
    sieve: Sieve,
    *,
    like: Sequence[str] = (),
    written: Sequence[Generated] = (),
    progress: Progress = lambda _done, _wanted: None,
) -> list[Generated]:
    """Queries that ``sieve`` lets through, up to ``count``, in the order they were made.

    Those ``written`` by a query writer are asked first; the built-in methods fill up.
    """
    kept: list[Generated] = []
    room = _Room(documents)
    for number, proposed in enumerate(_passes(documents, rng, sieve, like, written)):
        before = len(kept)
        for chunk in _chunks(proposed):
            if len(kept) >= count:
                return kept
            clean = sieve.clean([one.query for one in chunk])
            for one in (one for one, fits in zip(chunk, clean, strict=True) if fits):
                if len(kept) == count:
                    break
                if not room.holds(one):
                    sieve.dropped["used_up"] += 1
                elif sieve.offer(one.query, one.document_id):
                    kept.append(one)
                    room.take(one)
                    progress(len(kept), count)
        if number > len(METHODS) and len(kept) == before:
            break
    return kept


def _passes(
    documents: Sequence[Document],
    rng: np.random.Generator,
    sieve: Sieve,
    like: Sequence[str],
    written: Sequence[Generated],
) -> Iterator[Iterable[Generated]]:
    """What was written, then a query a document and pass, the method changing with both."""
    yield written
    held = [held_terms(document) for document in documents]
    asked = [(i, d) for i, d in enumerate(documents) if held[i]]
    sieve.dropped["empty_document"] += len(documents) - len(asked)
    style = style_of(held, like)
    methods = list(METHODS.items())
    for number in range(MOST_PASSES):
        order = [asked[i] for i in rng.permutation(len(asked)).tolist()]
        made = (
            (document, name, method(style, document, rng))
            for place, document in order
            for name, method in [methods[(place + number) % len(methods)]]
        )
        yield (Generated(m[0], d.id, name, m[1]) for d, name, m in made if m is not None)


def _chunks(proposed: Iterable[Generated]) -> Iterator[list[Generated]]:
    """A few at a time: enough to compare with Gold at once, few to be made in vain at the end."""
    iterator = iter(proposed)
    while chunk := list(islice(iterator, CHUNK)):
        yield chunk


def masked(documents: Sequence[Document], made: Sequence[Generated]) -> list[Document]:
    """The documents, each without the spans that queries of ``made`` were taken from.

    Of a document with several queries at least half stays, of any other at least a term.
    """
    spans: dict[str, list[tuple[int, int]]] = {}
    for one in made:
        if one.span is not None:
            spans.setdefault(one.document_id, []).append(one.span)
    return [_bare(document, spans.get(document.id, ())) for document in documents]


class _Room:
    """What may still be taken out of each document."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._most = {d.id: (1 - LEFT_SHARE) * len(content(d)) for d in documents}
        self._taken: dict[str, list[tuple[int, int]]] = {}

    def holds(self, one: Generated) -> bool:
        """Whether enough would be left; the first span may always go, that is the method's."""
        taken = self._taken.get(one.document_id)
        if one.span is None or not taken:
            return True
        spans = _merged([*taken, one.span])
        return sum(end - start for start, end in spans) <= self._most[one.document_id]

    def take(self, one: Generated) -> None:
        if one.span is not None:
            self._taken.setdefault(one.document_id, []).append(one.span)


def _bare(document: Document, spans: Sequence[tuple[int, int]]) -> Document:
    for span in reversed(_merged(spans)):  # the last first: the offsets before it stay right
        document = without(document, span)
    return document


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged

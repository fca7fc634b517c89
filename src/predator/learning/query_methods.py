"""The built-in ways to make a query from a document, each with the span it was taken from. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from predator.domain.documents import Document
from predator.learning.query_style import Style, Template, split_words
from predator.learning.query_text import (
    READ_CHARACTERS,
    clean_query,
    content,
    sentences,
    without,
)
from predator.search.analyze import terms

CLOZE_KEPT = 0.1
"""The share of cloze sentences that stay in their text, as in the paper: with all of them taken
out, a learner would never see an exact match."""
PHRASE_SENTENCES = 6
"""A key phrase is made of the first sentences: what a text is about is said early."""
PHRASE_WORDS = 5
"""Most words of a key phrase: six rare words of a text stand together in no other, so that there
is nothing to be learnt from finding it."""

_NAME = re.compile(r"[._/\\:]+")

Made = tuple[str, tuple[int, int] | None]
"""A query, and the characters of the document's content that it was taken from."""
Method = Callable[[Style, Document, np.random.Generator], Made | None]


def style_of(held: Sequence[frozenset[str]], like: Sequence[str]) -> Style:
    """The style of queries ``like``, for documents that hold these sets of terms.

    Of fewer than 100 documents a share says little: a common term stands in more than ten.
    """
    frequency = Counter(term for found in held for term in found)
    least = max(len(held), 100)
    return Style(like, lambda term: max(frequency[term], 1) / least)


def held_terms(document: Document) -> frozenset[str]:
    """The terms of the part of a document that is looked at."""
    return frozenset(terms(content(document)[:READ_CHARACTERS]))


def title(style: Style, document: Document, rng: np.random.Generator) -> Made | None:
    """The title, brought into shape; a dotted name or a path by its parts."""
    text = document.title[:READ_CHARACTERS]
    if " " not in text.strip():
        text = _NAME.sub(" ", text)
    span = (0, len(document.title))
    return _made(document, _shaped(style, text, rng), span)


def first_sentence(style: Style, document: Document, rng: np.random.Generator) -> Made | None:
    """The text's first sentence, brought into shape."""
    text = document.text[:READ_CHARACTERS]
    found = sentences(text)
    return _taken(style, document, found[0], rng) if found else None


def key_phrase(style: Style, document: Document, rng: np.random.Generator) -> Made | None:
    """Some telling words (tf · idf) of one of the first sentences, in their order.

    What stands in the text more than once counts more, and stays when the sentence is taken out.
    Where a document has no sentences, or nothing besides one, words of all that stands at its
    beginning; nothing is to be taken out then.
    """
    text = document.text[:READ_CHARACTERS]
    found = sentences(text)[:PHRASE_SENTENCES]
    span: tuple[int, int] | None = None
    said = content(document)[:READ_CHARACTERS]
    if found:
        start, end = found[int(rng.integers(len(found)))]
        place = _in_content(document, start, end)
        if held_terms(without(document, place)):
            said, span = text[start:end], place
    times = Counter(word.lower() for word in split_words(text))
    distinct = {word.lower(): word for word in split_words(said) if len(word) > 1}.values()
    telling = [word for word in distinct if not style.is_common(word)]
    length = min(max(2, style.draw(rng).length), PHRASE_WORDS)
    worth = [-max(1, times[word.lower()]) * style.weight(word) for word in telling]
    best = np.argsort(worth, kind="stable")[: 2 * length]
    chosen = sorted(rng.permutation(best)[:length].tolist())
    return _made(document, " ".join(telling[i] for i in chosen), span)


def inverse_cloze(style: Style, document: Document, rng: np.random.Generator) -> Made | None:
    """A sentence drawn from anywhere in the text but its beginning, brought into shape."""
    last = max(0, len(document.text) - READ_CHARACTERS)
    begin = int(rng.integers(last + 1))
    found = sentences(document.text[begin : begin + READ_CHARACTERS])
    found = found[1:] or found  # the first one is another method's, or was cut
    if not found:
        return None
    start, end = found[int(rng.integers(len(found)))]
    made = _taken(style, document, (begin + start, begin + end), rng)
    if made is not None and rng.random() < CLOZE_KEPT:
        return made[0], None
    return made


METHODS: Mapping[str, Method] = {
    "title": title,
    "first_sentence": first_sentence,
    "key_phrase": key_phrase,
    "inverse_cloze": inverse_cloze,
}
"""The built-in ways to make a query, by name."""


def _taken(
    style: Style, document: Document, place: tuple[int, int], rng: np.random.Generator
) -> Made | None:
    """A query from the characters ``place`` of the text."""
    start, end = place
    query = _shaped(style, document.text[start:end], rng)
    return _made(document, query, _in_content(document, start, end))


def _in_content(document: Document, start: int, end: int) -> tuple[int, int]:
    shift = len(document.title) + 1
    return start + shift, end + shift


def _shaped(style: Style, text: str, rng: np.random.Generator) -> str:
    shape: Template = style.draw(rng)
    return " ".join(style.shaped(split_words(text), shape, rng))


def _made(document: Document, query: str, span: tuple[int, int] | None) -> Made | None:
    """The pair, unless it says nothing or nothing would be left of the document to find."""
    cleaned = clean_query(query)
    if not cleaned or (span is not None and not held_terms(without(document, span))):
        return None
    return cleaned, span

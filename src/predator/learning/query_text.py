"""Sentences of a document, and one clean line for a query, whatever the text holds. Pure."""

from __future__ import annotations

import re
import unicodedata

from predator.domain.documents import Document

READ_CHARACTERS = 4000
"""Characters of a document that are looked at for one query: about 600 words, several times what
an encoder sees. So the time for a document does not grow with its length."""
MOST_CHARACTERS = 200
"""Longest query, in characters: longer ones are paragraphs, and no search box shows them."""
LEAST_WORDS = 4
"""A shorter sentence is a heading or a table cell."""
LETTERS_SHARE = 0.7
"""Least share of letters in a sentence's characters; under it stand tables, formulas and code."""

_BREAK = re.compile(
    r"(?<=[.!?…])(?P<stop>[\"'»”’)\]]*\s+)(?=[\"'«“„(\[]?[^\Wa-zа-яёіїєґ_])"  # then a capital
    r"|(?<=[。！？])"
    r"|\n\s*\n"
    r"|\n(?=\s*(?:[-*•>#=+~|]|\d+[.)]\s))"  # a list, a table, a heading's underline
)
_ABBREVIATED = re.compile(r"(?:^|[\s(«\"'.])([^\W\d_]{1,5})\.$")
_SHORT = """
al approx cf dept dr ed eds eq etc fig figs inc jr ltd mr mrs ms no nos pp prof ref sec st vol vs
ст ім рр вул див напр тис млн млрд грн обл просп ред рис табл стор проф акад доц гр пп
"""
_ABBREVIATIONS = frozenset(_SHORT.split())
EDGES = " \t.,;:!?…-–—*•>#=|/\\\"'`«»“”„()[]{}"
"""Punctuation that is no part of a query's first or last word."""
_SPACE = re.compile(r"\s+")


def content(document: Document) -> str:
    """Title and text as one string: what the offsets of a query's source count in."""
    return f"{document.title}\n{document.text}"


def sentences(text: str) -> list[tuple[int, int]]:
    """Offsets (start, end) of the sentences of ``text``, in order, without space around them.

    English and Ukrainian abbreviations and initials do not end one; a line break does only
    between paragraphs and before list items. Left out is what has fewer than four words or is
    mostly no letters.
    """
    found: list[tuple[int, int]] = []
    start = 0
    for match in _BREAK.finditer(text):
        if match["stop"] is not None and _abbreviated(text, match.start()):
            continue
        _keep(text, start, match.start(), found)
        start = match.end()
    _keep(text, start, len(text), found)
    return found


def clean_query(text: str, most: int = MOST_CHARACTERS) -> str:
    """``text`` as one line of at most ``most`` characters, cut between words where it has any.

    Control, format and private characters and half surrogate pairs are gone (a right-to-left
    override turns a line around), and so is punctuation at both ends. May be empty.
    """
    bounded = unicodedata.normalize("NFC", text[: 4 * most])
    kept = "".join(
        " " if unicodedata.category(c) in {"Cc", "Zl", "Zp", "Zs"} else c
        for c in bounded
        if unicodedata.category(c) not in {"Cf", "Cs", "Co", "Cn"}
    )
    line = _SPACE.sub(" ", kept).strip(EDGES)
    if len(line) > most:
        line = line[: most + 1].rpartition(" ")[0] or line[:most]
    return line.strip(EDGES)


def without(document: Document, span: tuple[int, int] | None) -> Document:
    """The document without the characters ``span`` of its :func:`content`."""
    if span is None:
        return document
    start, end = span
    title, gap = document.title, len(document.title) + 1
    return Document(
        document.id,
        title[: min(start, len(title))] + title[min(end, len(title)) :],
        document.text[: max(0, start - gap)] + document.text[max(0, end - gap) :],
        document.category,
        document.language,
        document.entities,
    )


def _abbreviated(text: str, end: int) -> bool:
    before = _ABBREVIATED.search(text, max(0, end - 8), end)
    if before is None:
        return False
    word = before[1].lower()
    return len(word) == 1 or word in _ABBREVIATIONS


def _keep(text: str, start: int, end: int, found: list[tuple[int, int]]) -> None:
    part = text[start:end]
    stripped = part.strip()
    if len(stripped.split()) < LEAST_WORDS:
        return
    solid = [c for c in stripped if not c.isspace()]
    if sum(map(str.isalpha, solid)) < LETTERS_SHARE * len(solid):
        return
    begin = start + len(part) - len(part.lstrip())
    found.append((begin, begin + len(stripped)))

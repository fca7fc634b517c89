"""From what a model said to queries. A model's words are hostile: its document may have told it
what to say."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from predator.domain.documents import Document
from predator.domain.errors import InputError
from predator.learning.query_text import MOST_CHARACTERS, READ_CHARACTERS, clean_query, content
from predator.search.analyze import terms

MOST_ANSWER = 20_000
"""Characters of an answer that are looked at: a hundred queries of the greatest length."""

_NUMBER = re.compile(r"^\s*(?:[-*•]+|(?:query|запит)?\s*\(?\d{1,3}[.):])\s*", re.IGNORECASE)
_NO_QUERY = re.compile(
    r"https?://|www\.|data:|javascript:"  # a link is where somebody wants a reader to go
    r"|<\|?[/\w]|\|>|```|\{\{|\$\{|\[/?INST\]"  # markup, templates, the marks of chat formats
    r"|\b(?:system|assistant|user)\s*:",
    re.IGNORECASE,
)
_CHATTER = re.compile(
    r"^(?:sure|certainly|of course|okay|here (?:are|is)|i (?:can|cannot|can't|am|will)\b|i'm sorry"
    r"|sorry|as an ai|note:|ось|звичайно|вибачте|на жаль)|:$",
    re.IGNORECASE,
)


def checked_count(count_each: int) -> int:
    """``count_each`` itself; ``InputError`` where it is no number of queries."""
    if not 0 <= count_each <= 100:
        raise InputError(f"{count_each} queries a document cannot be written", cure="Ask for 1-100")
    return count_each


def lines_of(answer: str, complete: bool = True) -> list[str]:
    """The proposals of an answer: a JSON array of strings, or one a line, without numbers.

    The last line of an answer that was cut off (not ``complete``) is no query.
    """
    answer = answer[:MOST_ANSWER].strip()
    if answer.startswith("["):
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            value = None
        if isinstance(value, list):
            return [one for one in value if isinstance(one, str)]
    lines = [line for line in answer.splitlines() if line.strip()]
    return [_NUMBER.sub("", line) for line in (lines if complete else lines[:-1])]


def accepted(
    proposals: Iterable[str], document: Document, count_each: int
) -> tuple[list[str], int]:
    """At most ``count_each`` clean queries, and how many proposals were none.

    Refused are chatter, links, markup and what is too long: a paragraph is an answer to somebody,
    and cutting it would hide that. So is what shares no term with the document, for nobody can
    tell where that came from.
    """
    held = frozenset(terms(content(document)[:READ_CHARACTERS]))
    found: dict[str, str] = {}
    refused = 0
    for proposal in proposals:
        query = clean_query(proposal)
        foreign = not held.intersection(terms(query))
        if (
            foreign
            or len(proposal.strip()) > MOST_CHARACTERS
            or _NO_QUERY.search(proposal)
            or _CHATTER.search(proposal.strip())
        ):
            refused += 1
        elif len(found) < count_each:
            found.setdefault(query.casefold(), query)
    return list(found.values()), refused


def askable(documents: Sequence[Document]) -> list[Document]:
    """Documents that hold a term in the part that is looked at."""
    return [d for d in documents if terms(content(d)[:READ_CHARACTERS])]

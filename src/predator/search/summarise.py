"""Extractive summaries: the sentences of a document that answer the query best."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from predator.search.analyze import terms

Mode = Literal["full", "fast", "off"]

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


def summarise(
    text: str,
    query_terms: frozenset[str],
    mode: Mode,
    weight: Callable[[str], float] = lambda _: 1.0,
    limit: int = 280,
) -> str:
    """At most ``limit`` characters of ``text``.

    ``full`` scores each of the first 40 sentences by the weighted query terms it holds, length
    normalised, and shows the best ones in their own order; ``fast`` shows the beginning;
    ``off`` nothing.
    """
    if mode == "off":
        return ""
    if mode == "fast" or not query_terms:
        return _cut(" ".join(text[: 2 * limit].split()), limit)
    sentences = [s.strip() for s in _SENTENCE.split(text[:8000]) if s.strip()][:40]
    scored: list[tuple[float, int]] = []
    for place, sentence in enumerate(sentences):
        words = terms(sentence)
        gain = sum(weight(term) for term in query_terms.intersection(words))
        scored.append((gain / (8 + len(words)) ** 0.5 - 1e-6 * place, place))
    chosen: list[int] = []
    room = limit
    for gain, place in sorted(scored, reverse=True):
        if chosen and (gain <= 0 or len(sentences[place]) + 3 > room):
            continue
        chosen.append(place)
        room -= len(sentences[place]) + 3
        if room <= 0:
            break
    return _cut(" … ".join(" ".join(sentences[i].split()) for i in sorted(chosen)), limit)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    return text[: limit - 1].rsplit(" ", 1)[0] + "…"

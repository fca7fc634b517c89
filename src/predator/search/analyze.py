"""Text to terms: one analyzer for the index, the query and the ranking features."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

SCHEMA = "all+title+title-trigrams/words-camel-stem-en-lemma-uk-ru/1"
"""Names the layout of the index and the analysis behind it; part of every release."""

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_WORD = re.compile(r"[^\W_]+")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_APOSTROPHE = re.compile(r"(?<=[\u0400-\u04ff])['\u2019\u02bc](?=[\u0400-\u04ff])")


@cache
def _stemmer() -> Any:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    builder = TextAnalyzerBuilder(Tokenizer.simple())
    for step in (Filter.remove_long(40), Filter.lowercase(), Filter.stemmer("english")):
        builder = builder.filter(step)
    return builder.build()


@lru_cache(maxsize=200_000)
def _lemma(token: str) -> str:
    import simplemma

    return simplemma.lemmatize(token, lang=("uk", "ru")).lower()


def terms(text: str) -> list[str]:
    """The terms of ``text`` in order.

    Identifiers are split at case changes and punctuation (``readCSV_file`` → ``read csv file``),
    English words are stemmed (Snowball), Cyrillic words are lemmatised (simplemma, uk then ru).
    Any text is allowed.
    """
    try:
        return _terms(text)
    except UnicodeEncodeError:
        return _terms(_SURROGATE.sub(" ", text))


def _terms(text: str) -> list[str]:
    if _CYRILLIC.search(text):
        joined = _APOSTROPHE.sub("\u02bc", text)
        tokens: list[str] = _stemmer().analyze(_CAMEL.sub(" ", joined))
        return [_lemma(token) if _CYRILLIC.search(token) else token for token in tokens]
    plain: list[str] = _stemmer().analyze(_CAMEL.sub(" ", text))
    return plain


def grams(text: str) -> list[str]:
    """Character trigrams of the words of ``text``, marked so that they cannot meet a term.

    They find what stemming cannot: ``std`` in ``standard``, ``linspace`` in ``linear spaced``.
    """
    words = " ".join(_WORD.findall(_CAMEL.sub(" ", text[:200]).lower()))
    padded = f" {words} "
    return ["\x1f" + padded[i : i + 3] for i in range(len(padded) - 2)] if words else []

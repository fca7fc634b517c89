"""Station 3: training queries from the documents that hold what the live ranker does not know.

Generation and filters are pure; ``dataset_stage`` runs them as a recorded DVC stage.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from predator.domain.canonical import sha256_hex
from predator.domain.documents import Document
from predator.search.analyze import terms

METHODS = ("title", "first_sentence", "key_phrase", "inverse_cloze")

_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_WORD = re.compile(r"[^\W_][\w'-]*")


@dataclass(frozen=True, slots=True)
class Generated:
    """A query made from a document that should answer it."""

    query: str
    document_id: str
    method: str


@dataclass(frozen=True, slots=True)
class Filtered:
    """What the filters kept, and how many each of them dropped."""

    kept: Sequence[Generated]
    dropped: Mapping[str, int]


def sources(
    documents: Sequence[Document], wanted: Iterable[str], most: int, categories: Sequence[str]
) -> list[Document]:
    """Up to ``most`` documents for generation: those with most of the wanted terms first.

    Among equals, documents of the affected categories come first, then the order given.
    """
    goal = frozenset(wanted)
    affected = frozenset(categories)

    def rank(document: Document) -> tuple[int, bool]:
        held = goal.intersection(terms(f"{document.title} {document.text[:2000]}"))
        return -len(held), document.category not in affected

    ranked = sorted(((rank(document), i) for i, document in enumerate(documents)))
    return [documents[i] for (hits, outside), i in ranked if hits < 0 or not outside][:most]


def generate(
    documents: Sequence[Document],
    frequency: Mapping[str, int],
    count: int,
    rng: np.random.Generator,
) -> list[Generated]:
    """At most ``count`` queries by each method, over the documents in turn, in random order.

    ``frequency`` (term → documents that hold it) picks the rarest words for key phrases.
    """
    made: list[Generated] = []
    for turn, method in enumerate(METHODS, start=1):
        for i in rng.permutation(len(documents)):
            if len(made) >= count * turn:
                break
            query = _make(method, documents[i], frequency, rng)
            if query:
                made.append(Generated(query, documents[i].id, method))
    order = rng.permutation(len(made))
    return [made[i] for i in order]


def keep(
    made: Sequence[Generated], forbidden: frozenset[str], count: int, least_terms: int = 2
) -> Filtered:
    """The first ``count`` queries that pass the filters.

    Drops queries that say too little, near-duplicates of one another (the same set of terms),
    and leaks: queries whose fingerprint is among the ``forbidden`` ones of the Gold set.
    """
    seen: set[str] = set()
    kept: list[Generated] = []
    dropped = {"too_short": 0, "duplicate": 0, "leak": 0}
    for one in made:
        words = set(terms(one.query))
        mark = fingerprint(one.query)
        if len(words) < least_terms:
            dropped["too_short"] += 1
        elif mark in forbidden:
            dropped["leak"] += 1
        elif mark in seen:
            dropped["duplicate"] += 1
        elif len(kept) < count:
            seen.add(mark)
            kept.append(one)
    return Filtered(kept, dropped)


def fingerprint(query: str) -> str:
    """Names a query by its set of terms, so that order, case and inflection do not hide a copy."""
    return sha256_hex(" ".join(sorted(set(terms(query)))).encode())[:16]


def diversity(queries: Sequence[str]) -> float:
    """Distinct-2: the share of distinct word pairs among all (Li et al. 2016), 0 to 1."""
    words = [terms(query) for query in queries]
    pairs = [pair for one in words for pair in pairwise(one)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def _make(
    method: str, document: Document, frequency: Mapping[str, int], rng: np.random.Generator
) -> str:
    sentences = [s.strip() for s in _SENTENCE.split(document.text[:3000]) if len(s.split()) > 3]
    if method == "title":
        return " ".join(re.split(r"[._\s]+", document.title)[-4:]).strip()
    if not sentences:
        return ""
    if method == "first_sentence":
        return " ".join(sentences[0].split()[:20])
    if method == "key_phrase":
        words = list(dict.fromkeys(_WORD.findall(" ".join(sentences[:6]))))
        rare = sorted(
            words, key=lambda w: min((frequency.get(t, 1) for t in terms(w)), default=10**9)
        )
        chosen = set(rare[:5])
        return " ".join(word for word in words if word in chosen)
    sentence = sentences[int(rng.integers(len(sentences)))]
    return " ".join(sentence.split()[:16])

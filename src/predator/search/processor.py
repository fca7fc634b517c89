"""ETL: clean a document, detect its language, classify it, extract entities, by rules."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from predator.domain.documents import Document
from predator.domain.errors import InputError
from predator.search.analyze import terms

MAX_TEXT = 200_000
"""Characters of a document that are kept: more cannot change what is found or shown."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\ufeff\ud800-\udfff]")
_SPACE = re.compile(r"[ \t\u00a0]+")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the processor knows: categories as weighted terms, entities as patterns.

    ``categories`` maps a name to the weights of its terms (a unit vector); a document that
    brings its own category keeps it. ``entities`` maps a kind to a regular expression.
    """

    categories: Mapping[str, Mapping[str, float]]
    entities: Mapping[str, str]

    def dump(self) -> bytes:
        return json.dumps(
            {"categories": self.categories, "entities": self.entities},
            sort_keys=True,
            ensure_ascii=False,
        ).encode()

    @classmethod
    def load(cls, data: bytes) -> Rules:
        """The inverse of :meth:`dump`; ``InputError`` where the file or a pattern is broken."""
        try:
            value = json.loads(data)
            categories, entities = value["categories"], value["entities"]
            for weights in categories.values():
                if not all(type(weight) in {int, float} for weight in weights.values()):
                    raise TypeError("a term's weight is not a number")
            for pattern in entities.values():
                re.compile(pattern)
            return cls(categories, entities)
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OverflowError,
            RecursionError,
            re.error,
        ) as error:
            raise InputError(f"the processor rules cannot be read: {error}") from error


DEFAULT_ENTITIES = {
    "identifier": r"\b[A-Za-z_][A-Za-z0-9]*(?:[._][A-Za-z0-9]+)+\b",
    "year": r"\b(?:19|20)\d{2}\b",
    "quantity": r"\b\d+(?:[.,]\d+)?\s?(?:%|(?:kg|mg|ml|mm|cm|km|GB|MB|kHz|MHz|GHz|V|W)\b)",
}


class Processor:
    """Applies one set of rules to documents, one at a time."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._patterns = [re.compile(pattern) for pattern in rules.entities.values()]

    def process(self, document: Document) -> Document:
        """The document ready to be indexed. Raises ``InputError`` where nothing is left of it."""
        title, text = clean(document.title), clean(document.text)[:MAX_TEXT]
        if not title and not text:
            raise InputError("the document is empty after cleaning")
        whole = f"{title} {text[:4000]}"
        return replace(
            document,
            title=title,
            text=text,
            language=document.language or detect_language(whole),
            category=document.category or self._classify(whole),
            entities=self._extract(whole),
        )

    def _classify(self, text: str) -> str:
        best, best_score = "other", 0.0
        counts = Counter(terms(text))
        norm = sum(count * count for count in counts.values()) ** 0.5
        for name, weights in self._rules.categories.items():
            score = sum(weights.get(term, 0.0) * count for term, count in counts.items())
            if norm and score / norm > max(best_score, 0.02):
                best, best_score = name, score / norm
        return best

    def _extract(self, text: str) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for pattern in self._patterns:
            for match in pattern.finditer(text):
                found.setdefault(match.group()[:80])
                if len(found) >= 16:
                    return tuple(found)
        return tuple(found)


def clean(text: str) -> str:
    """NFC, without control characters, spaces collapsed, line breaks kept."""
    tidy = _CONTROL.sub(" ", unicodedata.normalize("NFC", text))
    return "\n".join(line for raw in tidy.split("\n") if (line := _SPACE.sub(" ", raw).strip()))


_UKRAINIAN = re.compile(r"[іїєґІЇЄҐ]")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_LATIN = re.compile(r"[A-Za-z]")


def detect_language(text: str) -> str:
    """``uk``, ``ru``, ``en`` or ``und``, by script and by the letters only Ukrainian has."""
    sample = text[:2000]
    cyrillic, latin = len(_CYRILLIC.findall(sample)), len(_LATIN.findall(sample))
    if cyrillic > latin:
        return "uk" if len(_UKRAINIAN.findall(sample)) * 100 >= cyrillic else "ru"
    return "en" if latin else "und"


def category_counts(documents: Sequence[Document]) -> dict[str, int]:
    """How many documents each category holds, most first."""
    return dict(Counter(d.category or "other" for d in documents).most_common())

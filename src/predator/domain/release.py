"""A release: one content-addressed bundle, so that its parts can only move together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from predator.domain.canonical import digest_of

_MOST = 10_000
_MOST_LANGUAGES = 100
_LANGUAGE = re.compile(r"[a-z]{2,3}", re.ASCII)

FusionKind = Literal["bm25", "dense", "rrf", "zsum", "weighted"]


@dataclass(frozen=True, slots=True)
class RetrievalParameters:
    """How candidates are found and fused.

    ``depth`` documents are taken from each side. ``dense_weight`` is the share of the dense
    side in a ``weighted`` sum of z-scores (0 = lexical alone, 1 = dense alone). ``rerank`` fused
    documents reach the reranker. ``rrf_k`` is the constant of reciprocal rank fusion (Cormack et
    al. 2009). ``title_boost`` weighs the lexical score of the title alone, added to that of the
    whole text (reciprocal rank fusion looks at the ranks of the whole text alone).
    ``language_weights`` are dense weights for queries in some languages (by code), which are
    fused by a weighted sum whatever ``fusion`` says: an encoder does not know every language.

    Raises ``ValueError`` for what no search could use, so that a broken bundle never serves.
    """

    fusion: FusionKind = "rrf"
    depth: int = 100
    dense_weight: float = 0.5
    rrf_k: int = 60
    rerank: int = 100
    title_boost: float = 0.0
    language_weights: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "language_weights", _by_language(self.language_weights))
        if self.fusion not in get_args(FusionKind):
            raise ValueError(f"there is no fusion {self.fusion!r}")
        for name in ("depth", "rrf_k", "rerank"):
            value: object = getattr(self, name)
            if type(value) is not int or not 1 <= value <= _MOST:
                raise ValueError(f"{name} is {value!r}, it must be a whole number, 1 to {_MOST}")
        for name, most in (("dense_weight", 1), ("title_boost", _MOST)):
            value = getattr(self, name)
            # A NaN fails both comparisons.
            if type(value) not in {int, float} or not 0 <= value <= most:  # type: ignore[operator]
                raise ValueError(f"{name} is {value!r}, it must be a number, 0 to {most}")

    def asked_in(self, language: str) -> RetrievalParameters:
        """The parameters for a query in ``language``."""
        for known, weight in self.language_weights:
            if known == language:
                return replace(self, fusion="weighted", dense_weight=weight, language_weights=())
        return self

    def to_json(self) -> dict[str, Any]:
        """Without what is empty: releases from before languages were told keep their digest."""
        value = asdict(self)
        if not self.language_weights:
            del value["language_weights"]
        return value


def _by_language(weights: object) -> tuple[tuple[str, float], ...]:
    """Pairs of language and weight in the order of the languages, each once."""
    if not isinstance(weights, list | tuple) or len(weights) > _MOST_LANGUAGES:
        raise ValueError("language_weights must be pairs of a language and a weight")
    found: dict[str, float] = {}
    for pair in weights:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str):
            raise ValueError(f"{pair!r:.80} is no pair of a language and a weight")
        language, weight = pair
        if _LANGUAGE.fullmatch(language) is None or language in found:
            raise ValueError(f"{language!r:.80} is no language, or stands twice")
        if type(weight) not in {int, float} or not 0 <= weight <= 1:
            raise ValueError(f"the weight of {language} is {weight!r:.80}, it must be 0 to 1")
        found[language] = weight
    return tuple(sorted(found.items()))


@dataclass(frozen=True, slots=True)
class Release:
    """Everything that decides what a query answers, by sha256.

    ``encoder``, ``rules`` and ``reranker`` are digests of objects in the object store
    (``reranker`` is ``None`` where the fused order is final); ``schema`` names the layout of
    the index, so that vectors and encoder cannot drift apart.
    """

    encoder: str
    schema: str
    rules: str
    retrieval: RetrievalParameters
    reranker: str | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of the bundle: the identity of the release."""
        return digest_of(self.to_json())

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "retrieval": self.retrieval.to_json()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Release:
        """The inverse of :meth:`to_json`.

        ``TypeError`` for unknown, missing or mistyped fields, ``KeyError`` or ``ValueError`` for
        broken retrieval parameters.
        """
        fields = dict(value)
        retrieval = RetrievalParameters(**fields.pop("retrieval"))
        release = cls(retrieval=retrieval, **fields)
        named: tuple[object, ...] = (release.encoder, release.schema, release.rules)
        if not all(type(name) is str for name in (*named, release.reranker or "")):
            raise TypeError("the parts of a release are named by strings")
        return release

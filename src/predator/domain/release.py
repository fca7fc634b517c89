"""A release: one content-addressed bundle, so that its parts can only move together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from predator.domain.canonical import digest_of

_MOST = 10_000

FusionKind = Literal["bm25", "dense", "rrf", "zsum", "weighted"]


@dataclass(frozen=True, slots=True)
class RetrievalParameters:
    """How candidates are found and fused.

    ``depth`` documents are taken from each side. ``dense_weight`` is the share of the dense
    side in a ``weighted`` sum of z-scores (0 = lexical alone, 1 = dense alone). ``rerank`` fused
    documents reach the reranker. ``rrf_k`` is the constant of reciprocal rank fusion (Cormack et
    al. 2009). ``title_boost`` weighs the lexical score of the title alone, added to that of the
    whole text (reciprocal rank fusion looks at the ranks of the whole text alone).

    Raises ``ValueError`` for what no search could use, so that a broken bundle never serves.
    """

    fusion: FusionKind = "rrf"
    depth: int = 100
    dense_weight: float = 0.5
    rrf_k: int = 60
    rerank: int = 100
    title_boost: float = 0.0

    def __post_init__(self) -> None:
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
        return asdict(self)

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

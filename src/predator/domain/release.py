"""A release: one content-addressed bundle, so that its parts can only move together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from predator.domain.canonical import digest_of

FusionKind = Literal["bm25", "dense", "rrf", "zsum", "weighted"]


@dataclass(frozen=True, slots=True)
class RetrievalParameters:
    """How candidates are found and fused.

    ``depth`` documents are taken from each side. ``dense_weight`` is the share of the dense
    side in a ``weighted`` sum of z-scores (0 = lexical alone, 1 = dense alone). ``rerank`` fused
    documents reach the reranker. ``rrf_k`` is
    the constant of reciprocal rank fusion (Cormack et al. 2009). ``title_boost`` weighs the
    lexical score of the title alone, added to that of the whole text (where scores are fused;
    reciprocal rank fusion looks at the ranks of the whole text).
    """

    fusion: FusionKind = "rrf"
    depth: int = 100
    dense_weight: float = 0.5
    rrf_k: int = 60
    rerank: int = 100
    title_boost: float = 0.0


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
        """The inverse of :meth:`to_json`. Unknown or missing keys raise ``TypeError``."""
        fields = dict(value)
        retrieval = RetrievalParameters(**fields.pop("retrieval"))
        return cls(retrieval=retrieval, **fields)

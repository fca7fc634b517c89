"""The platform's index rebuilt beside it, so that learning and scoring never touch serving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from predator.domain.canonical import canonical_json
from predator.domain.documents import Document, Query
from predator.domain.errors import InputError
from predator.domain.release import Release
from predator.ports.encoder import Encoder
from predator.ports.object_store import ObjectStore
from predator.search.engine import Engine
from predator.search.index import Index
from predator.search.rerank import load_reranker
from predator.search.serving.agent import load_release
from predator.search.serving.ingest import embedding_text

EncodeAll = Callable[[Sequence[str]], NDArray[np.float32]]
EncoderOf = Callable[[str], tuple[Encoder, EncodeAll]]
"""Brings an encoder by its digest, and what encodes many texts with it."""


@dataclass(frozen=True, slots=True)
class Replica:
    """An index with all vectors in place, and the releases over it.

    ``index`` and ``encoder`` are those that it was made with. Releases of another encoder get
    that one's vectors when they are first asked for; one such space is held beside the first.
    """

    index: Index
    encoder: Encoder
    objects: ObjectStore
    encoder_of: EncoderOf | None = None
    _other: dict[str, Encoder] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        documents: Sequence[Document],
        encoder: Encoder,
        encode_all: EncodeAll,
        objects: ObjectStore,
        encoder_of: EncoderOf | None = None,
    ) -> Replica:
        """Index ``documents``; ``encode_all`` brings their vectors (cached where known).

        ``encoder_of`` is asked for the encoders of releases that have another one.
        """
        index = Index(encoder.dim, encoder.digest)
        rows = index.add(documents)
        vectors = encode_all([embedding_text(document) for document in documents])
        index.set_vectors(rows, vectors)
        return cls(index, encoder, objects, encoder_of)

    def seen_by(self, digest: str) -> tuple[Index, Encoder]:
        """The index with the vectors of encoder ``digest``, and that encoder.

        Vectors that are missing are made first. The space of the other encoder asked for before
        goes then, and its memory with the last engine on it. ``InputError`` where this replica
        knows no other encoder; what ``encoder_of`` raises where that one cannot be had.
        """
        if digest == self.encoder.digest:
            return self.index, self.encoder
        if digest not in self._other:
            if self.encoder_of is None:
                raise InputError(
                    f"encoder {digest[:12]} is not the one that this replica was made with"
                )
            encoder, encode_all = self.encoder_of(digest)
            for old in list(self._other):
                self.index.drop_space(old)
                del self._other[old]
            rows = self.index.live_rows()
            documents = [self.index.documents[row] for row in rows.tolist()]
            vectors = encode_all([embedding_text(document) for document in documents])
            self.index.open_space(digest, encoder.dim)
            self.index.seen_by(digest).set_vectors(rows.tolist(), vectors)
            self._other[digest] = encoder
        return self.index.seen_by(digest), self._other[digest]

    @property
    def document_ids(self) -> frozenset[str]:
        """The ids of what can be found now."""
        return frozenset(document.id for document in self.index.documents)

    def engine(self, release: Release | str) -> Engine:
        """The engine of a release, given whole or by digest."""
        if isinstance(release, str):
            release = load_release(self.objects.get(release))
        reranker = None
        if release.reranker is not None:
            # Its scores are what is looked for, on a busy machine too; its time is measured apart.
            reranker = load_reranker(
                self.objects.get(release.reranker), self.objects.get, budgeted=False
            )
        index, encoder = self.seen_by(release.encoder)
        return Engine(release, index, encoder, reranker)

    def rankings(
        self,
        engine: Engine,
        queries: Sequence[Query],
        k: int = 20,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> dict[str, list[str]]:
        """The first ``k`` document ids for each query, as the release would answer."""
        found: dict[str, list[str]] = {}
        for done, query in enumerate(queries):
            rows = engine.rank(query.text, k).rows.tolist()
            found[query.id] = [self.index.documents[row].id for row in rows]
            progress(done + 1, len(queries))
        return found


def keep_release(objects: ObjectStore, release: Release) -> str:
    """Put the bundle into the object store; its digest there is the release's own."""
    digest = objects.put(canonical_json(release.to_json()))
    if digest != release.digest:
        raise AssertionError("a release's digest is the sha256 of its canonical JSON")
    return digest

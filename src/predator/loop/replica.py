"""The platform's index rebuilt beside it, so that learning and scoring never touch serving."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from predator.domain.canonical import canonical_json
from predator.domain.documents import Document, Query
from predator.domain.release import Release
from predator.ports.encoder import Encoder
from predator.ports.object_store import ObjectStore
from predator.search.engine import Engine
from predator.search.index import Index
from predator.search.rerank import load_reranker
from predator.search.serving.agent import load_release
from predator.search.serving.ingest import embedding_text

EncodeAll = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Replica:
    """An index with all vectors in place, and the releases over it."""

    index: Index
    encoder: Encoder
    objects: ObjectStore

    @classmethod
    def of(
        cls,
        documents: Sequence[Document],
        encoder: Encoder,
        encode_all: EncodeAll,
        objects: ObjectStore,
    ) -> Replica:
        """Index ``documents``; ``encode_all`` brings their vectors (cached where known)."""
        index = Index(encoder.dim)
        rows = index.add(documents)
        vectors = encode_all([embedding_text(document) for document in documents])
        index.set_vectors(rows, vectors)
        return cls(index, encoder, objects)

    def engine(self, release: Release | str) -> Engine:
        """The engine of a release, given whole or by digest."""
        if isinstance(release, str):
            release = load_release(self.objects.get(release))
        reranker = None
        if release.reranker is not None:
            reranker = load_reranker(self.objects.get(release.reranker))
        return Engine(release, self.index, self.encoder, reranker)

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

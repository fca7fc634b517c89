"""A sentence encoder without a model, and small collections that have something to find."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.release import Release, RetrievalParameters
from predator.search.analyze import SCHEMA, terms
from predator.search.engine import Engine
from predator.search.index import Index
from predator.search.rerank import SecondStage

DIMENSION = 48

_TEXT = (
    "matrix vector norm sparse dense solve linear graph node edge path tree sort array shape "
    "table frame merge group filter signal wave phase filter noise window plot axis colour label "
    "image pixel mask blur edge cluster centre distance fit model score predict train random "
    "seed sample mean median variance test file read write parse date time zone token string"
)
WORDS = tuple(_TEXT.split())


@lru_cache(maxsize=100_000)
def _direction(term: str) -> NDArray[np.float32]:
    seed = int.from_bytes(hashlib.sha256(term.encode()).digest()[:8], "big")
    return np.random.default_rng(seed).standard_normal(DIMENSION).astype(np.float32)


class HashedEncoder:
    """A bag of terms, each a fixed random direction: texts that share terms lie near."""

    digest = "0" * 64
    dim = DIMENSION

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self.encode_query(text) for text in texts])

    def encode_query(self, text: str) -> NDArray[np.float32]:
        vector = np.zeros(DIMENSION, np.float32)
        vector[0] = 1e-3
        for term in terms(text):
            vector += _direction(term)
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit


def documents(count: int, seed: int = 0, words: Sequence[str] = WORDS) -> list[Document]:
    """Titles of three words, texts of thirty, some words much commoner than others."""
    rng = np.random.default_rng(seed)
    shares = 1.0 / np.arange(1, len(words) + 1)
    shares /= shares.sum()

    def draw(size: int) -> str:
        return " ".join(words[i] for i in rng.choice(len(words), size, p=shares))

    return [Document(f"doc-{i}", draw(3), f"{draw(30)}.") for i in range(count)]


def indexed(docs: Sequence[Document], vectors: bool = True) -> Index:
    """An index of ``docs``, with all of their vectors or none."""
    index = Index(DIMENSION)
    rows = index.add(docs)
    if vectors:
        texts = [f"{d.title}. {d.text}" for d in docs]
        index.set_vectors(rows, HashedEncoder().encode(texts))
    return index


def release(reranker: str | None = None, **retrieval: object) -> Release:
    """A release of the hashed encoder."""
    parameters = RetrievalParameters(**retrieval)  # type: ignore[arg-type]
    return Release(HashedEncoder.digest, SCHEMA, "1" * 64, parameters, reranker)


def engine(index: Index, reranker: SecondStage | None = None, **retrieval: object) -> Engine:
    return Engine(release(None, **retrieval), index, HashedEncoder(), reranker)


def ids(index: Index, rows: NDArray[np.int64]) -> list[str]:
    return [index.documents[row].id for row in rows.tolist()]

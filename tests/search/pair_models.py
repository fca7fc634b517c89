"""A cross-encoder small enough to export in a second, with random weights."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from predator.search.encoder.export_pairs import Exported, export_cross_encoder
from tests.search.encoder.tiny import SHAPE, tiny_tokenizer, tiny_weights

WORDS = ("read", "table", "search", "file")


def pair_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    head = {name: rng.normal(0, 9, size).astype(np.float32) for name, size in SHAPE.head()}
    return {**tiny_weights(seed), **head}


@lru_cache
def exported(seed: int = 0, max_tokens: int = 32) -> Exported:
    return export_cross_encoder(
        SHAPE,
        pair_weights(seed),
        tiny_tokenizer().encode(),
        max_tokens=max_tokens,
        max_query_tokens=8,
    )


class Objects:
    """An object store in a dictionary."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        from predator.domain.canonical import sha256_hex

        digest = sha256_hex(data)
        self.held[digest] = data
        return digest

    def get(self, digest: str) -> bytes:
        from predator.domain.errors import IntegrityError

        if digest not in self.held:
            raise IntegrityError(f"object {digest} is missing")
        return self.held[digest]

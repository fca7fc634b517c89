"""Text to vectors: what is near in meaning lies near in space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Encoder(Protocol):
    """One sentence encoder. A vector depends on its text alone, never on its neighbours."""

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides a vector; vectors of two digests cannot be compared."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings [len(texts), dim] of unit length. Any text is allowed, the empty one too."""
        ...

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """The embedding [dim] of one query; read-only, since repeated queries share it."""
        ...

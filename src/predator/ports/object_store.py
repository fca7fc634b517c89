"""Bytes by their sha256: what goes in is what comes out, or an error."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class ObjectStore(Protocol):
    """Content-addressed and immutable."""

    def put(self, data: bytes) -> str:
        """Keep ``data``; returns its sha256 (hex). Keeping the same bytes twice is one object."""
        ...

    def get(self, digest: str) -> bytes:
        """The bytes of ``digest``; ``IntegrityError`` where they are missing or do not match."""
        ...

    def path(self, digest: str) -> Path:
        """A file that holds the object, verified; ``IntegrityError`` as for :meth:`get`."""
        ...

"""Bearer tokens of the admin API; only their hash is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from predator.domain.governance import Token


class Tokens(Protocol):
    """Who may call."""

    def add(self, token: Token, digest: str) -> None:
        """Keep a token by the SHA-256 (hex) of its text; ``ConflictError`` for a known id."""
        ...

    def find(self, digest: str) -> Token | None:
        """The token whose text has this hash, whatever its state."""
        ...

    def list(self) -> Sequence[Token]: ...

    def revoke(self, token_id: str, at: float) -> bool:
        """End a token now; ``False`` where it is unknown or was revoked before."""
        ...

"""Replies that were given, by the caller's ``Idempotency-Key``."""

from __future__ import annotations

from typing import Protocol

from predator.domain.governance import Reply


class Replies(Protocol):
    """The same request twice is answered once."""

    def claim(self, key: str, request_digest: str, at: float) -> Reply | None:
        """Take the key: ``None`` for the first caller, the kept reply for later ones.

        ``ConflictError`` while the first caller is at work (less than a minute), and
        ``InputError`` where the key came with another request.
        """
        ...

    def keep(self, key: str, status: int, body: str) -> None:
        """Keep the reply of a claimed key."""
        ...

    def drop(self, key: str) -> None:
        """Give a claimed key back: the request had no effect."""
        ...

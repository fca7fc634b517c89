"""Tokens in memory, proven equal to the table by the same tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

from predator.adapters.database.values import moment
from predator.adapters.tokens.rules import checked
from predator.domain.errors import ConflictError
from predator.domain.governance import Token


class MemoryTokens:
    """For tests and simulations."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._tokens: dict[str, Token] = {}
        self._ids: dict[str, str] = {}

    def add(self, token: Token, digest: str) -> None:
        checked(token, digest)
        with self._lock:
            if token.id in self._tokens or digest in self._ids:
                raise ConflictError(f"token {token.id} is known already")
            self._tokens[token.id] = token
            self._ids[digest] = token.id

    def find(self, digest: str) -> Token | None:
        with self._lock:
            return self._tokens.get(self._ids.get(digest, ""))

    def list(self) -> Sequence[Token]:
        with self._lock:
            return list(self._tokens.values())

    def revoke(self, token_id: str, at: float) -> bool:
        moment(at)
        with self._lock:
            token = self._tokens.get(token_id)
            if token is None or token.revoked_at is not None:
                return False
            self._tokens[token_id] = replace(token, revoked_at=float(at))
            return True

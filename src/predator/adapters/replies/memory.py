"""Replies in memory, proven equal to the table by the same tests."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock

from predator.adapters.database.values import moment, named, text
from predator.adapters.replies.rules import Claim, answer, unclaimed
from predator.domain.governance import Reply


class MemoryReplies:
    """For tests and simulations."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._claims: dict[str, Claim] = {}

    def claim(self, key: str, request_digest: str, at: float) -> Reply | None:
        named(key, "Idempotency-Key")
        text(request_digest, "request digest")
        moment(at)
        with self._lock:
            reply = answer(self._claims.get(key), request_digest, at)
            if reply is None:
                self._claims[key] = Claim(request_digest, at)
            return reply

    def keep(self, key: str, status: int, body: str) -> None:
        text(body, "body")
        with self._lock:
            if key not in self._claims:
                raise unclaimed()
            if self._claims[key].reply is None:
                self._claims[key] = replace(self._claims[key], reply=Reply(status, body))

    def drop(self, key: str) -> None:
        with self._lock:
            if key in self._claims and self._claims[key].reply is None:
                del self._claims[key]

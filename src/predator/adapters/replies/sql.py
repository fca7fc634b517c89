"""Replies in the database."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from predator.adapters.database.engine import Database
from predator.adapters.database.tables import replies
from predator.adapters.database.values import moment, named, text
from predator.adapters.replies.rules import Claim, answer, unclaimed
from predator.domain.governance import Reply

_SCOPE = "replies"


class SqlReplies:
    """One row a key; the first reply that is kept stays."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, key: str, request_digest: str, at: float) -> Reply | None:
        named(key, "Idempotency-Key")
        text(request_digest, "request digest")
        moment(at)
        with self._database.writing(_SCOPE) as connection:
            found = _find(connection, key)
            reply = answer(found, request_digest, at)
            if found is None:
                row = {"key": key, "request_digest": request_digest, "claimed_at": at}
                connection.execute(insert(replies).values(row))
            elif reply is None:
                _set(connection, key, claimed_at=at)
            return reply

    def keep(self, key: str, status: int, body: str) -> None:
        text(body, "body")
        with self._database.writing(_SCOPE) as connection:
            found = _find(connection, key)
            if found is None:
                raise unclaimed()
            if found.reply is None:
                _set(connection, key, status=status, body=body)

    def drop(self, key: str) -> None:
        unanswered = (replies.c.key == key) & replies.c.status.is_(None)
        with self._database.writing(_SCOPE) as connection:
            connection.execute(delete(replies).where(unanswered))


def _find(connection: Connection, key: str) -> Claim | None:
    row: Any = connection.execute(select(replies).where(replies.c.key == key)).first()
    if row is None:
        return None
    reply = None if row.status is None else Reply(row.status, row.body)
    return Claim(row.request_digest, row.claimed_at, reply)


def _set(connection: Connection, key: str, **fields: object) -> None:
    connection.execute(update(replies).where(replies.c.key == key).values(fields))

"""Tokens in the database, by the hash of their text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update

from predator.adapters.database.engine import Database
from predator.adapters.database.tables import tokens
from predator.adapters.database.values import moment, to_json
from predator.adapters.tokens.rules import checked
from predator.domain.errors import ConflictError
from predator.domain.governance import Role, Token

_SCOPE = "tokens"


class SqlTokens:
    """Who holds the table can call nothing: the hash of a long random text leads nowhere."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, token: Token, digest: str) -> None:
        checked(token, digest)
        same = (tokens.c.id == token.id) | (tokens.c.digest == digest)
        with self._database.writing(_SCOPE) as connection:
            if connection.execute(select(tokens.c.id).where(same)).first() is not None:
                raise ConflictError(f"token {token.id} is known already")
            connection.execute(
                insert(tokens).values(
                    id=token.id,
                    digest=digest,
                    actor=token.actor,
                    role=str(token.role),
                    contours=to_json(sorted(token.contours)),
                    created_at=token.created_at,
                    expires_at=token.expires_at,
                )
            )

    def find(self, digest: str) -> Token | None:
        with self._database.reading() as connection:
            row = connection.execute(select(tokens).where(tokens.c.digest == digest)).first()
        return None if row is None else _token(row)

    def list(self) -> Sequence[Token]:
        """Tokens in the order they were made."""
        with self._database.reading() as connection:
            return [_token(row) for row in connection.execute(select(tokens).order_by("number"))]

    def revoke(self, token_id: str, at: float) -> bool:
        moment(at)
        usable = (tokens.c.id == token_id) & tokens.c.revoked_at.is_(None)
        with self._database.writing(_SCOPE) as connection:
            return (
                connection.execute(update(tokens).where(usable).values(revoked_at=at)).rowcount > 0
            )


def _token(row: Any) -> Token:
    return Token(
        id=row.id,
        actor=row.actor,
        role=Role(row.role),
        contours=frozenset(json.loads(row.contours)),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )

"""Bearer tokens: made here, shown once, kept as a hash."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from predator.domain.canonical import sha256_hex
from predator.domain.errors import ConflictError
from predator.domain.governance import Role, Token
from predator.loop.operator.desk import Acts, NotFoundError, expiry, text

PREFIX = "prd_"
"""What the tokens begin with, so that a leaked one is recognised."""

TOKEN_BYTES = 32
MOST_TOKEN_S = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Issued:
    """A new token with its text, which is not kept anywhere; ``text`` is ``None`` where the same
    request was answered before: it was shown then."""

    token: Token
    text: str | None


class TokenVerbs(Acts):
    """Who may call the admin API."""

    def issue_token(
        self,
        holder: str,
        role: Role,
        contours: Collection[str],
        expires_at: float,
        *,
        actor: str,
        key: str = "",
    ) -> Issued:
        """A token for ``holder``, good on ``contours`` (none given: on every one)."""
        now = self.desk.clock.now()
        token = Token(
            id=self._id("tok-", actor, key),
            actor=text(holder, "holder", most=200),
            role=Role(role),
            contours=frozenset(self._known(contour) for contour in contours),
            created_at=now,
            expires_at=expiry(expires_at, now, MOST_TOKEN_S),
        )
        random = base64.urlsafe_b64encode(self.desk.secret(TOKEN_BYTES)).rstrip(b"=").decode()
        secret = f"{PREFIX}{random}"

        def add() -> Issued:
            try:
                self.desk.tokens.add(token, digest_of_token(secret))
            except ConflictError:
                return Issued(self.token(token.id), None)
            return Issued(token, secret)

        given = {
            "id": token.id,
            "holder": holder,
            "role": str(token.role),
            "contours": sorted(token.contours),
            "expires_at": expires_at,
        }
        return self._act("issue_token", actor, given, add)

    def tokens(self) -> Sequence[Token]:
        """Every token ever issued, without its text."""
        return self.desk.tokens.list()

    def token(self, token_id: str) -> Token:
        """One token; ``NotFoundError`` where there is none."""
        for token in self.desk.tokens.list():
            if token.id == token_id:
                return token
        raise NotFoundError(f"there is no token {token_id!r:.60}")

    def revoke_token(self, token_id: str, *, actor: str) -> bool:
        """End a token now; ``False`` where it was revoked before."""
        self.token(token_id)
        return self._act(
            "revoke_token",
            actor,
            {"id": token_id},
            lambda: self.desk.tokens.revoke(token_id, self.desk.clock.now()),
        )


def digest_of_token(secret: str) -> str:
    """What is kept of a token: the SHA-256 (hex) of its text. 256 random bits need no salt."""
    return sha256_hex(secret.encode(errors="replace"))

"""Which tokens are kept; pure, shared by every back end."""

from __future__ import annotations

import re

from predator.adapters.database.values import moment, named
from predator.domain.governance import Role, Token

_SHA256 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)


def checked(token: Token, digest: str) -> Token:
    """A token that may be kept; ``ValueError`` where ``digest`` is no hash, but perhaps a text."""
    if not _SHA256.match(digest):
        raise ValueError("a token is kept by the SHA-256 of its text, not by the text")
    named(token.id, "token id")
    named(token.actor, "actor")
    Role(token.role)
    for contour in token.contours:
        named(contour, "contour")
    moment(token.created_at)
    moment(token.expires_at)
    if token.revoked_at is not None:
        raise ValueError(f"token {token.id} was revoked before it was made")
    return token

"""Who calls: bearer tokens, and what a caller may do where."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from predator.domain.governance import EVERYWHERE, Token
from predator.edge.api.problems import ForbiddenError
from predator.loop.operator.desk import NotFoundError
from predator.loop.operator.tokens import digest_of_token
from predator.policy.api import may
from predator.ports.tokens import Tokens

_BEARER = re.compile(r"Bearer ([!-~]{1,512})\Z", re.IGNORECASE)


class Authenticator:
    """Finds tokens by the hash of their text; the text itself is never kept or compared."""

    def __init__(self, tokens: Tokens, now: Callable[[], float]) -> None:
        self._tokens, self._now = tokens, now

    def token(self, authorization: str | None) -> Token | None:
        """The usable token in an ``Authorization`` header; ``None`` for everything else."""
        match = _BEARER.match(authorization or "")
        if match is None:
            return None
        found = self._tokens.find(digest_of_token(match[1]))
        return found if found is not None and found.usable(self._now()) else None


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller of one operation, on one of the ``known`` contours (``all`` among them).

    ``key`` names the act: the same key is the same act.
    """

    token: Token
    operation: str
    known: frozenset[str]
    key: str = ""

    @property
    def actor(self) -> str:
        return self.token.actor

    def may(self, contour: str) -> bool:
        """Whether the operation is allowed on ``contour`` (``all``: everywhere)."""
        return may(self.token.role, self.token.contours, self.operation, contour)

    def on(self, contour: str) -> str:
        """``contour``, where it is known (``NotFoundError``) and the operation is allowed there
        (``ForbiddenError``)."""
        if contour not in self.known:
            known = ", ".join(sorted(self.known))
            raise NotFoundError(f"there is no contour {contour!r:.60}", cure=f"Known: {known}")
        if not self.may(contour):
            place = "everywhere" if contour == EVERYWHERE else f"on {contour!r:.60}"
            raise ForbiddenError(f"{self.token.role} {self.actor!r:.80} may not do this {place}")
        return contour

    def anywhere(self) -> None:
        """``ForbiddenError`` where the operation is allowed on no contour at all."""
        if not any(self.may(contour) for contour in self.known):
            raise ForbiddenError(f"the role {self.token.role} may not do this")

    def covers(self, contours: Iterable[str]) -> bool:
        """Whether the caller's reach includes that of a token for ``contours``."""
        named = list(contours)
        return all(self.may(contour) for contour in named or [EVERYWHERE])


async def caller_of(request: Request) -> Caller:
    """The caller that the guard let in. Async, so that it waits for no thread."""
    caller: Caller = request.state.caller
    return caller


Who = Annotated[Caller, Depends(caller_of)]

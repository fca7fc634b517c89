"""Bearer tokens: issued, listed, revoked."""

from __future__ import annotations

from fastapi import APIRouter, Request

from predator.edge.api.callers import Who
from predator.edge.api.guard import guarded
from predator.edge.api.pages import Cursor, Limit, Page, page
from predator.edge.api.problems import ForbiddenError
from predator.edge.api.responses import errors
from predator.edge.api.schemas import Id, IssuedToken, Removed, TokenRequest, TokenView
from predator.loop.operator.service import Operator


def router(operator: Operator) -> APIRouter:
    routes = guarded("tokens")

    @routes.get("/tokens", responses=errors())
    def tokens(who: Who, limit: Limit = 50, cursor: Cursor = None) -> Page[TokenView]:
        """Tokens within the caller's reach, newest first, without their text."""
        found = [TokenView.of(token) for token in operator.tokens() if who.covers(token.contours)]
        return page(found, lambda token: (token.created_at, token.id), limit, cursor)

    @routes.post("/tokens", status_code=201, responses=errors(404))
    def issue_token(request: Request, who: Who, body: TokenRequest) -> IssuedToken:
        """Issue a token that reaches no further than the caller's. Its text is shown once."""
        if not who.covers(body.contours):
            raise ForbiddenError("a token cannot reach further than the one that issues it")
        issued = operator.issue_token(
            body.holder,
            body.role,
            body.contours,
            body.expires_at,
            actor=who.actor,
            key=who.key,
        )
        view = TokenView.of(issued.token).model_dump()
        # What is kept for a repeated request must not hold the secret.
        request.state.kept = IssuedToken(**view, token=None).model_dump_json()
        return IssuedToken(**view, token=issued.text)

    @routes.delete("/tokens/{token_id}", responses=errors(404))
    def revoke_token(who: Who, token_id: Id) -> Removed:
        """End a token now."""
        if not who.covers(operator.token(token_id).contours):
            raise ForbiddenError("this token reaches further than the caller's")
        return Removed(removed=operator.revoke_token(token_id, actor=who.actor))

    return routes

"""What every guarded request passes before its handler: token, role, rate, idempotency."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute

from predator.domain.canonical import digest_of, sha256_hex
from predator.domain.errors import ConflictError, InputError
from predator.domain.governance import EVERYWHERE, Reply, Token
from predator.domain.ids import is_cycle_id
from predator.edge.api.callers import Authenticator, Caller
from predator.edge.api.problems import TooManyError, UnauthenticatedError
from predator.edge.api.rates import Buckets
from predator.journal.logs import bound, log
from predator.ports.replies import Replies

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]

PREFIX: Final = "/api/v1/optimizer"

OPERATIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "state", "rollback_status", "keep_status", "gates", "cycles", "cycle", "artifacts",
            "artifact", "approvals", "overrides", "flags", "flag", "explain_policy", "audit_verify",
            "audit", "releases", "experiments", "experiment",
        ),
        "read",
    ),
    **{
        name: name
        for name in (
            "stop", "start", "rollback", "keep", "request_cycle", "cancel_cycle", "approve",
            "confirm_override", "revoke_override", "override_gate", "override_policy",
            "set_flag", "read_metrics",
        )
    },
    "reject": "approve",
    "remove_flag": "set_flag",
    **dict.fromkeys(("tokens", "issue_token", "revoke_token"), "manage_tokens"),
}  # fmt: skip
"""What each route asks of the role table (``policy.api``), by the route's name."""

URGENT: Final = frozenset({"stop"})
"""Never throttled, never in the queue behind other requests, and done whenever asked: a stop is
the same act each time, and an old reply must not stand for a new stop."""

_SAFE = frozenset({"GET", "HEAD"})
_KEY = re.compile(r"[!-~]{1,200}\Z")
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Bounds of the admin API. Rates are per token, and per address for refused tokens."""

    body_bytes: int = 64 * 1024
    requests_per_s: float = 20.0
    requests_burst: int = 60
    refused_per_s: float = 0.2
    refused_burst: int = 20
    wait_for_twin_s: float = 15.0
    threads: int = 16


class Guard:
    """Lets a request in, or raises what becomes its problem response."""

    def __init__(
        self,
        authenticator: Authenticator,
        replies: Replies,
        contours: Iterable[str],
        limits: ApiLimits,
        *,
        now: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        self._authenticator, self._replies, self._limits = authenticator, replies, limits
        self._contours = frozenset({EVERYWHERE, *contours})
        self._now = now
        self._by_token = Buckets(limits.requests_per_s, limits.requests_burst, steady)
        self._by_address = Buckets(limits.refused_per_s, limits.refused_burst, steady)
        self._threads = anyio.CapacityLimiter(limits.threads)
        self._urgent = anyio.CapacityLimiter(4)
        self._stops = 0

    async def work(self, operation: str, what: Callable[[], T]) -> T:
        """Run database work in a thread; what is urgent has threads of its own."""
        limiter = self._urgent if operation in URGENT else self._threads
        return await run_sync(what, limiter=limiter)

    async def admit(self, request: Request, operation: str) -> Caller:
        """The caller, once token, role and rate allow the operation somewhere."""
        header = request.headers.get("authorization")
        token = await self.work(operation, lambda: self._authenticator.token(header))
        if token is None:
            raise self._refusal(request)
        if operation not in URGENT and (wait := self._by_token.take(token.id)):
            raise TooManyError(wait)
        caller = Caller(token, operation, self._contours)
        caller.anywhere()
        return caller

    async def answer(self, request: Request, caller: Caller, handler: Handler) -> Response:
        """The reply to an admitted request. Other writers give way to a stop: a database that
        is busy lets its writers in by luck."""
        if request.method in _SAFE:
            return await handler(request)
        urgent = caller.operation in URGENT
        self._stops += urgent
        try:
            while self._stops and not urgent:
                await anyio.sleep(_POLL_S)
            return await self.once(request, caller, handler)
        finally:
            self._stops -= urgent

    async def once(self, request: Request, caller: Caller, handler: Handler) -> Response:
        """The reply to a request that changes something: given once for each Idempotency-Key.

        Twins wait for the first. What is refused has had no effect and is not kept.
        """
        given = request.headers.get("idempotency-key")
        if given is None or caller.operation in URGENT:
            return await handler(request)
        if _KEY.match(given) is None:
            raise InputError("Idempotency-Key must be 1 to 200 visible ASCII characters")
        key = sha256_hex(f"{caller.token.id}|{given}".encode())
        kept = await self._claim(caller, key, await _digest(request))
        if kept is not None:
            return Response(
                kept.body, kept.status, {"Idempotency-Replayed": "true"}, "application/json"
            )
        request.state.caller = replace(caller, key=given)
        try:
            response = await handler(request)
        except BaseException:
            with anyio.CancelScope(shield=True), suppress(Exception):
                await self.work(caller.operation, lambda: self._replies.drop(key))
            raise
        body = getattr(request.state, "kept", None) or bytes(response.body).decode()
        try:
            await self.work(
                caller.operation, lambda: self._replies.keep(key, response.status_code, body)
            )
        except Exception as error:
            # The effect is there and has its own key: the answer must not become an error.
            log("reply_not_kept", level="warning", error=f"{type(error).__name__}: {error}")
        return response

    async def _claim(self, caller: Caller, key: str, digest: str) -> Reply | None:
        waited = 0.0
        while True:
            try:
                return await self.work(
                    caller.operation, lambda: self._replies.claim(key, digest, self._now())
                )
            except ConflictError:
                if waited >= self._limits.wait_for_twin_s:
                    raise
            await anyio.sleep(_POLL_S)
            waited += _POLL_S

    def _refusal(self, request: Request) -> UnauthenticatedError | TooManyError:
        address = request.client.host if request.client is not None else "unknown"
        # A good token is never held up by the bad ones of its neighbours: it came before this.
        if wait := self._by_address.take(address):
            return TooManyError(wait)
        return UnauthenticatedError(
            "a bearer token is needed that is known, not expired and not revoked"
        )


class GuardedRoute(APIRoute):
    """A route behind the guard. One that ``OPERATIONS`` does not name cannot be made."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        operation = OPERATIONS[self.name]

        async def guarded(request: Request) -> Response:
            guard: Guard = request.app.state.guard
            caller = await guard.admit(request, operation)
            request.state.caller = caller
            request.scope["token"] = caller.token
            self._refuse_unknown(request)
            with bound(**cycle_in(request.scope)):
                return await guard.answer(request, caller, handler)

        return guarded

    def _refuse_unknown(self, request: Request) -> None:
        """A misspelt parameter must not be taken for one that was left out."""
        known = {parameter.alias for parameter in self.dependant.query_params}
        for name in request.query_params:
            if name not in known:
                raise InputError(f"there is no parameter {name!r:.60} here")


def guarded(tag: str, prefix: str = PREFIX) -> APIRouter:
    """A router whose routes all pass the guard."""
    return APIRouter(prefix=prefix, route_class=GuardedRoute, tags=[tag])


async def _digest(request: Request) -> str:
    return digest_of(
        [
            request.method,
            request.url.path,
            request.url.query,
            sha256_hex(await request.body()),
        ]
    )


def cycle_in(scope: Any) -> dict[str, str]:
    """``si_cycle_id``, where the path names a cycle or a request of one."""
    parameters: Mapping[str, Any] = scope.get("path_params") or {}
    named = str(parameters.get("cycle_id") or parameters.get("approval_id") or "")
    cycle_id = named.partition(":")[0]
    return {"si_cycle_id": cycle_id} if is_cycle_id(cycle_id) else {}


def token_of(scope: Any) -> Token | None:
    """The token that let a request in, for the log."""
    token = scope.get("token")
    return token if isinstance(token, Token) else None

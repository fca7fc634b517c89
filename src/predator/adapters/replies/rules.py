"""What a claim of a key gets; pure, shared by every back end."""

from __future__ import annotations

from dataclasses import dataclass

from predator.domain.errors import ConflictError, InputError
from predator.domain.governance import Reply

ABANDONED_S = 60.0
"""A claim without a reply for so long is that of a caller who died."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A key that was taken, with the reply once there is one."""

    request_digest: str
    claimed_at: float
    reply: Reply | None = None


def answer(found: Claim | None, request_digest: str, at: float) -> Reply | None:
    """The kept reply, or ``None`` where the caller takes the key; the errors are the port's."""
    if found is None:
        return None
    if found.request_digest != request_digest:
        raise InputError(
            "this Idempotency-Key came with another request", cure="Use a new key for each request"
        )
    if found.reply is None and at - found.claimed_at < ABANDONED_S:
        raise ConflictError(
            "the first request with this Idempotency-Key is still at work", cure="Try again later"
        )
    return found.reply


def unclaimed() -> InputError:
    return InputError("this Idempotency-Key was not claimed")

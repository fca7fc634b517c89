"""What every object store checks about names and sizes."""

from __future__ import annotations

import re

from predator.domain.canonical import sha256_hex
from predator.domain.errors import InputError, IntegrityError

DEFAULT_MAX_BYTES = 2 * 1024**3

_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


def check_digest(digest: str) -> str:
    """A digest is 64 lower-case hex digits: whatever else it is, it is no path."""
    if not isinstance(digest, str) or _DIGEST.match(digest) is None:
        raise IntegrityError(f"{digest!r:.80} is not a sha256 digest")
    return digest


def check_size(data: bytes, max_bytes: int) -> bytes:
    if len(data) > max_bytes:
        raise InputError(
            f"an object of {len(data)} bytes is above the limit of {max_bytes}",
            cure="Raise the store's max_bytes if the object is meant to be that large",
        )
    return data


def check_match(data: bytes, digest: str) -> bytes:
    if sha256_hex(data) != digest:
        raise IntegrityError(f"object {digest} does not match its hash")
    return data

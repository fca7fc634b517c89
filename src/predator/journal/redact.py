"""Secrets are masked before anything is written down."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MASK = "[redacted]"

# "tokens" and "tokenizer" are words of search; "access_tokens" is not.
_SECRET_KEY = re.compile(
    r"secret|passw|webhook|credential|authorization|(api|private|access)[_-]?key"
    r"|(access|api|auth|bearer|refresh|session)[_-]?tokens|token(?!s|i[sz])",
    re.IGNORECASE,
)
_SECRET_TEXT = (
    re.compile(r"(?P<keep>\bbearer\s+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE),
    re.compile(
        r"(?P<keep>\b[\w-]*(?:token|secret|password|webhook|api_?key)[\w-]*[\"']?\s*=\s*[\"']?)"
        r"[^\s\"'&,;]+",
        re.IGNORECASE,
    ),
    re.compile(r"(?P<keep>\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@]+@", re.IGNORECASE),
    re.compile(r"(?P<keep>https?://hooks\.[\w.-]+/)[^\s\"']+", re.IGNORECASE),
    re.compile(r"(?P<keep>\b)(?:xox[a-z]-|gh[a-z]_|sk-|prd_)[A-Za-z0-9_-]{10,}"),
)


def redact(value: Any) -> Any:
    """A copy of a JSON-like value without secrets, every string valid Unicode.

    Masked are values whose key speaks of a token, secret, password, webhook, credential or key,
    and, inside any text, bearer strings, ``token=…`` pairs, passwords in URLs, webhook URLs and
    tokens of well-known shape. ``None`` and booleans stay: they hold no secret.
    """
    if isinstance(value, str):
        return _redact_text(value)
    if isinstance(value, Mapping):
        return {_clean(key): _redact_field(key, below) for key, below in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [redact(item) for item in value]
    return value


def _redact_field(key: Any, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(key, str) and _SECRET_KEY.search(key):
        return MASK
    return redact(value)


def _redact_text(text: str) -> str:
    text = _clean(text)
    for pattern in _SECRET_TEXT:
        text = pattern.sub(lambda found: f"{found['keep']}{MASK}", text)
    return text


def _clean(text: Any) -> Any:
    # A lone surrogate (legal in JSON input, not in UTF-8) must not stop the journal.
    return text.encode(errors="replace").decode() if isinstance(text, str) else text

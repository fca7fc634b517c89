"""Where a secret lies: ``env:NAME`` or ``file:/path``. A file of settings never holds one."""

from __future__ import annotations

import os
import re
from pathlib import Path

from predator.domain.errors import InputError

MOST_BYTES = 8_192

_ENVIRONMENT = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]{0,99}")
_FILE = re.compile(r"file:/[^\x00-\x1f\x7f]{1,1000}")


def check_reference(reference: str) -> str:
    """``reference`` itself; ``ValueError``, which does not repeat it, where it is none."""
    if reference.upper().startswith("ENV:PREDATOR_"):
        raise ValueError("variables that begin with PREDATOR_ are settings; name another")
    if not _ENVIRONMENT.fullmatch(reference) and not _FILE.fullmatch(reference):
        raise ValueError("write where the secret lies, env:NAME or file:/path, not the secret")
    return reference


def resolve(reference: str) -> str:
    """The secret itself. ``InputError``, without it, where it is not there or cannot be one."""
    try:
        kind, _, place = check_reference(reference).partition(":")
    except ValueError as error:
        raise InputError(f"this is no reference to a secret: {error}") from None
    value = os.environ.get(place, "") if kind == "env" else _content(Path(place))
    value = value.strip()
    if not value:
        where = f"the environment variable {place}" if kind == "env" else f"the file {place}"
        raise InputError(f"{where} should hold a secret and is empty or not there")
    if len(value.splitlines()) > 1 or not value.isprintable():
        raise InputError(f"the secret at {reference} is more than one line of text")
    return value


def _content(path: Path) -> str:
    if not path.is_file():  # a pipe or a device would block, or never end
        return ""
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8")
    except OSError as error:
        raise InputError(f"the file {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"the file {path} holds no text") from None
    if len(content) > MOST_BYTES:
        raise InputError(f"the file {path} is too large for a secret")
    return text

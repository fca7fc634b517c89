"""What a commit may hold, the same for every back end: hostile names stop here."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from predator.domain.errors import InputError

MAX_TEXT_BYTES = 1_000_000
MAX_SUBJECT = 200
MAX_TRAILER = 1_000

_PART = re.compile(r"[A-Za-z0-9._+@=][A-Za-z0-9._+@=-]{0,127}\Z")
_MAX_PARTS = 16
# Names that git itself reads from a work tree, in any spelling a file system may fold together.
_GIT_FILES = (".git", ".gitattributes", ".gitmodules")
_TRAILER_KEY = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}\Z")
_TRAILER_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]*)[ \t]*:[ \t]*(.*)\Z")
_REVISION = re.compile(r"[0-9a-f]{40}\Z")

StepKey = tuple[str, str]


def split_path(path: str) -> tuple[str, ...]:
    """The parts of a relative path of plain names; ``InputError`` for anything else."""
    parts = tuple(path.split("/"))
    if len(parts) > _MAX_PARTS or not all(_is_plain_name(part) for part in parts):
        raise InputError(
            f"{path[:120]!r} cannot be a file of the GitOps repository",
            cure="Use a relative path of letters, digits and ._+@=- without .. or .git",
        )
    return parts


def _is_plain_name(part: str) -> bool:
    if _PART.match(part) is None or part.endswith("."):
        return False
    return part.casefold() not in _GIT_FILES


def check_revision(revision: str) -> str:
    if _REVISION.match(revision) is None:
        raise InputError(f"{revision[:60]!r} is not a revision", cure="Give all 40 hex digits")
    return revision


def check_changes(changes: Mapping[str, str]) -> dict[tuple[str, ...], bytes]:
    """Path parts → UTF-8 bytes of each change."""
    if not changes:
        raise InputError("a commit needs at least one changed file")
    checked = {split_path(path): _encode(path, text) for path, text in changes.items()}
    for parts in checked:
        for end in range(1, len(parts)):
            if parts[:end] in checked:
                folder = "/".join(parts[:end])
                raise InputError(f"{folder} cannot be a file and a folder in one commit")
    return checked


def _encode(path: str, text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"the text of {path} is not valid Unicode") from error
    if len(data) > MAX_TEXT_BYTES:
        raise InputError(
            f"the text of {path} has {len(data)} bytes, the limit is {MAX_TEXT_BYTES}",
            cure="Keep large objects in the object store and commit their digest",
        )
    return data


def clean_subject(subject: str) -> str:
    """One printable line of at most 200 characters."""
    printable = "".join(char if char.isprintable() else " " for char in subject)
    line = " ".join(printable.split())[:MAX_SUBJECT].strip()
    if not line:
        raise InputError("a commit needs a subject")
    return line


def check_trailers(trailers: Mapping[str, str]) -> dict[str, str]:
    """The trailers, values trimmed; ``InputError`` where one could forge another line."""
    checked: dict[str, str] = {}
    for key, value in trailers.items():
        if _TRAILER_KEY.match(key) is None:
            raise InputError(f"{key[:60]!r} is not the name of a git trailer")
        if any(known.casefold() == key.casefold() for known in checked):
            raise InputError(f"trailer {key} is given twice")
        text = value.strip(" \t")
        forbidden = {"Cc", "Cs", "Zl", "Zp"}
        if any(unicodedata.category(char) in forbidden for char in text):
            raise InputError(f"trailer {key} holds a line break or a control character")
        if not text or len(text) > MAX_TRAILER:
            raise InputError(f"trailer {key} has {len(text)} characters, not 1 to {MAX_TRAILER}")
        checked[key] = text
    return checked


def step_key(trailers: Mapping[str, str]) -> StepKey | None:
    """What makes a commit idempotent: its cycle and its step, where it names both."""
    if "Cycle" in trailers and "Step" in trailers:
        return trailers["Cycle"], trailers["Step"]
    return None


def format_message(subject: str, trailers: Mapping[str, str]) -> str:
    block = "".join(f"{key}: {value}\n" for key, value in trailers.items())
    return f"{subject}\n\n{block}" if block else f"{subject}\n"


def parse_message(message: str) -> tuple[str, dict[str, str]]:
    """Subject and trailers. The title paragraph never counts as trailers, as in git."""
    body, separator, block = message.rstrip("\n").rpartition("\n\n")
    if not separator:
        return block.split("\n", 1)[0], {}
    subject = body.lstrip("\n").split("\n", 1)[0]
    lines = [_TRAILER_LINE.match(line) for line in block.split("\n")]
    trailers = {line[1]: line[2].strip(" \t") for line in lines if line is not None}
    return subject, trailers if all(lines) else {}

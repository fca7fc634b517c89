"""Files handed over to be kept, named by what they hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

from predator.domain.canonical import digest_of
from predator.domain.errors import InputError


def regular_file(path: Path) -> Path:
    """``path`` where it is a readable file; raises ``InputError`` where it is not, or a link."""
    if path.is_symlink() or not path.is_file():
        raise InputError(f"there is no file {str(path)!r} to keep")
    return path


def source_digest(source: Path) -> str:
    """SHA-256 of a file, or of the names and hashes of all files in a folder.

    Raises ``InputError`` where ``source`` is absent or empty, is a link or holds one.
    """
    if source.is_symlink():
        raise InputError(f"the model {str(source)!r} is a link")
    if source.is_file():
        return _file_digest(source)
    if not source.is_dir():
        raise InputError(f"there is no model at {str(source)!r}")
    members = sorted(source.rglob("*"))
    for member in members:
        if member.is_symlink():
            raise InputError(f"the model folder holds a link, {str(member)!r}")
    hashes = {
        str(member.relative_to(source)): _file_digest(member)
        for member in members
        if member.is_file()
    }
    if not hashes:
        raise InputError(f"the model folder {str(source)!r} is empty")
    return digest_of(hashes)


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

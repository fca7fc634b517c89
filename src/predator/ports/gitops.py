"""The repository whose head *is* what should be live."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit, newest state of its trailers included (``Cycle:``, ``Step:``, ``Reverts:``)."""

    revision: str
    subject: str
    trailers: Mapping[str, str]
    at: float


class GitOps(Protocol):
    """A shared, append-only history of small text files on one branch."""

    def head(self) -> str | None:
        """The newest revision, or ``None`` while the repository is empty."""
        ...

    def read(self, path: str, revision: str | None = None) -> str | None:
        """The text of ``path`` at ``revision`` (default: head), ``None`` where it is absent."""
        ...

    def commit(
        self,
        changes: Mapping[str, str],
        subject: str,
        trailers: Mapping[str, str],
        *,
        parent: str | None,
    ) -> str:
        """Write ``changes`` (path → whole text) as one commit on top of ``parent``.

        Idempotent: where a commit with the same ``Cycle`` and ``Step`` trailers already exists,
        nothing is written and its revision is returned. Raises ``ConflictError`` where head is
        no longer ``parent`` (git's non-fast-forward refusal fences a zombie), ``InputError``
        where a path would leave the repository or a trailer holds a line break.
        """
        ...

    def log(self, limit: int = 100) -> Sequence[Commit]:
        """Commits, newest first."""
        ...

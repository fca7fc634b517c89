"""A GitOps history in memory, proven equal to the bare repository by the same tests."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from predator.adapters.gitops import rules
from predator.domain.canonical import digest_of
from predator.domain.errors import ConflictError, InputError
from predator.ports.gitops import Commit

Files = Mapping[tuple[str, ...], bytes]


@dataclass(frozen=True, slots=True)
class _Entry:
    commit: Commit
    files: Files


class MemoryGitOps:
    """Every commit keeps the whole set of files; enough for tests and simulations."""

    def __init__(self, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = Lock()
        self._entries: dict[str, _Entry] = {}
        self._steps: dict[rules.StepKey, str] = {}
        self._head: str | None = None

    def head(self) -> str | None:
        return self._head

    def read(self, path: str, revision: str | None = None) -> str | None:
        parts = rules.split_path(path)
        revision = self._head if revision is None else rules.check_revision(revision)
        if revision is None:
            return None
        entry = self._entries.get(revision)
        if entry is None:
            raise InputError(f"revision {revision} is not in the GitOps repository")
        data = entry.files.get(parts)
        return None if data is None else data.decode()

    def commit(
        self,
        changes: Mapping[str, str],
        subject: str,
        trailers: Mapping[str, str],
        *,
        parent: str | None,
    ) -> str:
        checked = rules.check_changes(changes)
        title = rules.clean_subject(subject)
        checked_trailers = rules.check_trailers(trailers)
        key = rules.step_key(checked_trailers)
        with self._lock:
            if key is not None and key in self._steps:
                return self._steps[key]
            if parent != self._head:
                raise ConflictError(f"the GitOps head is {self._head}, not {parent}")
            files = _merge(self._entries[parent].files if parent else {}, checked)
            at = float(int(self._now()))
            identity = [len(self._entries), parent, title, checked_trailers, at]
            revision = digest_of(identity)[:40]
            self._entries[revision] = _Entry(Commit(revision, title, checked_trailers, at), files)
            if key is not None:
                self._steps[key] = revision
            self._head = revision
            return revision

    def log(self, limit: int = 100) -> Sequence[Commit]:
        with self._lock:
            newest_first = [entry.commit for entry in reversed(self._entries.values())]
        return newest_first[: max(0, limit)]


def _merge(files: Files, changes: Files) -> Files:
    for parts in changes:
        for known in files:
            if known[: len(parts)] == parts and known != parts:
                raise InputError(f"{'/'.join(parts)} is a folder in the GitOps repository")
            if parts[: len(known)] == known and known != parts:
                raise InputError(f"{'/'.join(known)} is a file in the GitOps repository")
    return {**files, **changes}

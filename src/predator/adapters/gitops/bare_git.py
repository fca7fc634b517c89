"""GitOps on a local bare git repository that any git client can read, clone and push to."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

from predator.adapters.gitops import rules
from predator.adapters.gitops.objects import GitObjects
from predator.adapters.gitops.steps import StepIndex
from predator.domain.errors import ConflictError, InputError, IntegrityError, PredatorError
from predator.locks import file_lock, sync_folder
from predator.ports.gitops import Commit

if TYPE_CHECKING:
    from dulwich import objects as git

AUTHOR = b"Predator <predator@localhost>"
_BRANCH = b"refs/heads/main"
_REF_TEXT = re.compile(rb"[0-9a-f]{40}\n?\Z")


class BareGit:
    """The branch ``main`` of the bare repository at ``path``, made where there is none.

    Safe to share between threads and processes: commits take a lock file beside the repository,
    and the branch moves by compare-and-swap, so that even a writer which ignores that lock (a
    ``git push``) loses nothing. Reading takes no lock.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float] = time.time,
        lock_timeout_s: float = 10.0,
        stale_lock_s: float = 2.0,
    ) -> None:
        self._path = path = path.absolute()
        self._now = now
        self._lock_timeout_s = lock_timeout_s
        self._stale_lock_s = stale_lock_s
        self._loose_ref = os.fspath(path / "refs" / "heads" / "main")
        self._packed_refs = path / "packed-refs"
        self._open_or_create()
        self._objects = GitObjects(path / "objects")
        self._steps = StepIndex(self._objects)
        self._finalizer = finalize(self, self._objects.close)

    def close(self) -> None:
        """Release the pack files held open; also done when the object is collected."""
        self._finalizer()

    def head(self) -> str | None:
        """As the port says; reads one small file, cheap enough to be polled."""
        try:
            fd = os.open(self._loose_ref, os.O_RDONLY)
        except FileNotFoundError:
            return self._packed_head()
        try:
            text = os.read(fd, 64)
        finally:
            os.close(fd)
        if _REF_TEXT.match(text) is None:
            raise IntegrityError(f"{self._loose_ref} does not hold a git revision")
        return text[:40].decode()

    def read(self, path: str, revision: str | None = None) -> str | None:
        parts = rules.split_path(path)
        revision = self.head() if revision is None else rules.check_revision(revision)
        if revision is None:
            return None
        return self._objects.text(self._objects.commit(revision), parts)

    def commit(
        self,
        changes: Mapping[str, str],
        subject: str,
        trailers: Mapping[str, str],
        *,
        parent: str | None,
    ) -> str:
        checked = rules.check_changes(changes)
        checked_trailers = rules.check_trailers(trailers)
        message = rules.format_message(rules.clean_subject(subject), checked_trailers)
        key = rules.step_key(checked_trailers)
        with self._exclusive():
            head = self.head()
            if key is not None and (done := self._steps.find(key, head)) is not None:
                return done
            if head != parent:
                raise ConflictError(f"the GitOps head is {head}, not {parent}")
            base = self._objects.commit(parent).tree if parent else None
            made = self._objects.updated_tree(base, checked)
            commit = self._commit_object(made[-1].id, parent, message)
            self._objects.add([*made, commit])
            self._move_branch(parent, commit.id)
            return commit.id.decode()

    def log(self, limit: int = 100) -> Sequence[Commit]:
        """As the port says; where somebody pushed a merge, its first parents."""
        commits: list[Commit] = []
        revision = self.head()
        while revision is not None and len(commits) < limit:
            found = self._objects.commit(revision)
            subject, trailers = rules.parse_message(found.message.decode(errors="replace"))
            commits.append(Commit(revision, subject, trailers, float(found.commit_time)))
            revision = found.parents[0].decode() if found.parents else None
        return commits

    def _packed_head(self) -> str | None:
        try:
            lines = self._packed_refs.read_bytes().split(b"\n")
        except FileNotFoundError:
            return None
        return next((line[:40].decode() for line in lines if line[40:] == b" " + _BRANCH), None)

    def _commit_object(self, tree: bytes, parent: str | None, message: str) -> git.Commit:
        from dulwich.objects import Commit as GitCommit
        from dulwich.objects import ObjectID

        commit = GitCommit()
        commit.tree = ObjectID(tree)
        commit.parents = [ObjectID(parent.encode())] if parent else []
        commit.author = commit.committer = AUTHOR
        commit.author_time = commit.commit_time = int(self._now())
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = message.encode()
        return commit

    def _move_branch(self, parent: str | None, new: bytes) -> None:
        """Compare and swap, under git's own lock on the branch: a ``git push`` respects it too."""
        lock = Path(self._loose_ref + ".lock")
        fd = self._lock_branch(lock)
        try:
            with os.fdopen(fd, "wb") as file:
                if self.head() != parent:
                    raise ConflictError(f"the GitOps head moved while {parent} was built on")
                file.write(new + b"\n")
                file.flush()
                os.fsync(fd)
            lock.replace(self._loose_ref)
        except BaseException:
            lock.unlink(missing_ok=True)
            raise
        sync_folder(lock.parent)

    def _lock_branch(self, lock: Path) -> int:
        lock.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._lock_timeout_s
        while True:
            try:
                return os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                self._outwait(lock, deadline)

    def _outwait(self, lock: Path, deadline: float) -> None:
        """Wait for ``lock`` to go; remove it once it has not changed for ``stale_lock_s``.

        Our own writers take it only inside the lock that we hold now, so whoever left it is
        dead, or is another git client, and those hold it for milliseconds.
        """
        first_seen, identity = time.monotonic(), _identity(lock)
        while identity is not None and _identity(lock) == identity:
            if time.monotonic() - first_seen >= self._stale_lock_s:
                lock.unlink(missing_ok=True)
                return
            time.sleep(0.005)
        if time.monotonic() >= deadline:
            raise PredatorError(f"{lock} is held by another git client", cure="Try again")

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        beside = self._path.with_name(f".{self._path.name}.lock")
        fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        what = f"the GitOps repository {self._path}"
        try:
            with file_lock(fd, what, timeout_s=self._lock_timeout_s):
                yield
        finally:
            os.close(fd)

    def _open_or_create(self) -> None:
        from dulwich.errors import NotGitRepository
        from dulwich.repo import Repo

        if self._path.exists() and not self._path.is_dir():
            raise InputError(f"{self._path} is a file, not a git repository")
        if _is_vacant(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._exclusive():
                if _is_vacant(self._path):
                    _create(self._path)
        try:
            with Repo(self._path) as repo:
                bare = repo.bare
        except NotGitRepository:
            bare = False
        if not bare:
            raise InputError(
                f"{self._path} is not a bare git repository",
                cure="Name an empty folder, or one made by git init --bare",
            )


def _is_vacant(path: Path) -> bool:
    return not path.exists() or not any(path.iterdir())


def _create(path: Path) -> None:
    """Appears whole or not at all: made beside, then renamed into place."""
    from dulwich.repo import Repo

    beside = path.with_name(f".{path.name}.new")
    shutil.rmtree(beside, ignore_errors=True)
    Repo.init_bare(beside, mkdir=True, default_branch=b"main").close()
    beside.replace(path)
    sync_folder(path.parent)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns

"""The git side of the datasets: commits made without the index, so no editor can block one."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from predator.domain.errors import ConflictError, InputError, IntegrityError

if TYPE_CHECKING:
    from dulwich.objects import Blob, Commit, ObjectID
    from dulwich.repo import Repo

_AUTHOR = b"Predator <predator@localhost>"
_TRAILER = re.compile(r"([A-Z][A-Za-z-]*): (\S+)\Z")


class History:
    """One repository at ``root``, made on first use; its branch only ever moves forward."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def ensure(self) -> None:
        """Make the repository unless it is there; a half-made one cannot be left behind."""
        from dulwich.repo import Repo

        if (self._root / ".git").exists():
            return
        nursery = self._root / ".git.new"
        shutil.rmtree(nursery, ignore_errors=True)
        nursery.mkdir(parents=True)
        Repo.init(nursery, default_branch=b"main").close()
        (nursery / ".git").rename(self._root / ".git")
        nursery.rmdir()

    def find(self, wanted: Mapping[str, str]) -> tuple[str, Mapping[str, str]] | None:
        """The newest commit that carries all the ``wanted`` trailers, and all its trailers."""
        with self._repo() as repo:
            if _head(repo) is None:
                return None
            for entry in repo.get_walker():
                found = trailers(entry.commit.message)
                if wanted.items() <= found.items():
                    return entry.commit.id.decode(), found
        return None

    def read(self, path: str, revision: str | None = None) -> bytes | None:
        """The bytes of ``path`` at ``revision`` (default: the head), ``None`` where absent."""
        from dulwich.object_store import tree_lookup_path
        from dulwich.objects import Blob, ObjectID

        with self._repo() as repo:
            commit = ObjectID(revision.encode()) if revision else _head(repo)
            if commit is None:
                return None
            try:
                tree = _commit(repo, commit).tree
                _, name = tree_lookup_path(repo.object_store.__getitem__, tree, path.encode())
            except KeyError:
                return None
            found = repo[name]
            return found.data if isinstance(found, Blob) else None

    def tagged(self, name: str) -> str | None:
        """The revision that the annotated tag ``name`` points at, ``None`` where there is none."""
        from dulwich.objects import Tag

        with self._repo() as repo:
            try:
                found = repo[f"refs/tags/{name}".encode()]
            except KeyError:
                return None
            return (found.object[1] if isinstance(found, Tag) else found.id).decode()

    def commit(self, paths: Sequence[str], subject: str, notes: Mapping[str, str]) -> str:
        """Record ``paths`` of the work tree on top of the head; returns the revision.

        Nothing is taken from the index and no hook, signature or identity of the user's git is
        used. Raises ``ConflictError`` where the branch moved meanwhile.
        """
        from dulwich.object_store import commit_tree_changes
        from dulwich.objects import ZERO_SHA, Blob, Commit, Tree
        from dulwich.refs import HEADREF

        with self._repo() as repo, self._committing():
            head = _head(repo)
            tree = _commit(repo, head).tree if head else Tree()
            blobs = {path: Blob.from_string((self._root / path).read_bytes()) for path in paths}
            for blob in blobs.values():
                repo.object_store.add_object(blob)
            changes = [(path.encode(), 0o100644, blob.id) for path, blob in blobs.items()]
            commit = Commit()
            commit.tree = commit_tree_changes(repo.object_store, tree, changes)
            commit.parents = [head] if head else []
            commit.author = commit.committer = _AUTHOR
            commit.author_time = commit.commit_time = int(time.time())
            commit.author_timezone = commit.commit_timezone = 0
            block = "\n".join(f"{key}: {value}" for key, value in notes.items())
            commit.message = f"{subject}\n\n{block}\n".encode()
            repo.object_store.add_object(commit)
            if not repo.refs.set_if_equals(
                HEADREF, head or ZERO_SHA, commit.id, committer=_AUTHOR, message=subject.encode()
            ):
                raise ConflictError(f"the branch of {self._root} moved during a commit")
            self._follow(repo, blobs)
            return commit.id.decode()

    def _follow(self, repo: Repo, blobs: Mapping[str, Blob]) -> None:
        """Let the index show the commit, unless somebody holds it."""
        from dulwich.file import FileLocked
        from dulwich.index import index_entry_from_stat

        index = repo.open_index()
        for path, blob in blobs.items():
            index[path.encode()] = index_entry_from_stat((self._root / path).lstat(), blob.id)
        with suppress(FileLocked):
            index.write()

    @contextmanager
    def _committing(self) -> Iterator[None]:
        """Mark the moments in which we hold git's locks, and drop those of a killed commit.

        A lock without our mark is somebody else's and stays.
        """
        from dulwich.file import FileLocked

        mark = self._root / ".git" / "predator-committing"
        if mark.exists():
            heads = (self._root / ".git" / "refs" / "heads").rglob("*.lock")
            for stale in (*(self._root / ".git").glob("*.lock"), *heads):
                stale.unlink(missing_ok=True)
        mark.touch()
        try:
            yield
        except FileLocked as error:
            raise ConflictError(
                f"git in {self._root} is held by {Path(os.fsdecode(error.lockfilename)).name}",
                cure="Wait for the other git to end, or delete that file where none runs",
            ) from error
        finally:
            mark.unlink(missing_ok=True)

    @contextmanager
    def _repo(self) -> Iterator[Repo]:
        from dulwich.errors import NotGitRepository
        from dulwich.repo import Repo

        try:
            repo = Repo(str(self._root))
        except NotGitRepository as error:
            raise InputError(f"{str(self._root)!r} is not a git repository") from error
        try:
            yield repo
        finally:
            repo.close()


def trailers(message: bytes) -> Mapping[str, str]:
    """``Key: value`` lines that end a commit message."""
    found: dict[str, str] = {}
    for line in reversed(message.decode("utf-8", "replace").rstrip("\n").split("\n")):
        match = _TRAILER.match(line)
        if match is None:
            break
        found[match[1]] = match[2]
    return found


def _head(repo: Repo) -> ObjectID | None:
    from dulwich.refs import HEADREF

    return repo.refs.follow(HEADREF)[1]


def _commit(repo: Repo, name: ObjectID) -> Commit:
    from dulwich.objects import Commit

    found = repo[name]
    if not isinstance(found, Commit):
        raise IntegrityError(f"{name.decode()} is not a commit")
    return found

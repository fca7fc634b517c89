"""The tag references of a bare repository: made once, durably, and never moved."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from predator.domain.errors import ConflictError, IntegrityError, PredatorError
from predator.locks import file_lock, sync_folder

_PREFIX = "refs/tags/"
_REF_TEXT = re.compile(r"[0-9a-f]{40}\n?\Z")


class TagRefs:
    """Reading takes no lock. Writers hold the lock of the GitOps back end, so both can tell a
    lock file that the dead left from one that another git client holds for a moment.
    """

    def __init__(self, repository: Path, *, lock_timeout_s: float, stale_lock_s: float) -> None:
        self._repository = repository
        self._folder = repository / "refs" / "tags"
        self._lock_timeout_s = lock_timeout_s
        self._stale_lock_s = stale_lock_s

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Alone among the processes that write to the repository through Predator."""
        beside = self._repository.with_name(f".{self._repository.name}.lock")
        fd = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        what = f"the GitOps repository {self._repository}"
        try:
            with file_lock(fd, what, timeout_s=self._lock_timeout_s):
                yield
        finally:
            os.close(fd)

    def starting(self, prefix: str) -> dict[str, str]:
        """Tag name → object id of every tag whose name starts with ``prefix``."""
        # Loose ones first: git packs a reference before it drops the loose file.
        loose = dict(self._loose(prefix))
        return {**self._packed(prefix), **loose}

    def create(self, name: str, target: str) -> None:
        """Let ``name`` be ``target``; inside :meth:`exclusive`.

        ``ConflictError`` where a tag of that name is there: it appeared by another git client.
        """
        lock = self._folder / f"{name}.lock"
        fd = self._take(lock)
        try:
            with os.fdopen(fd, "w") as file:
                if name in self.starting(name):
                    raise ConflictError(f"somebody else made the tag {name}")
                file.write(f"{target}\n")
                file.flush()
                os.fsync(fd)
            lock.replace(self._folder / name)
        except BaseException:
            lock.unlink(missing_ok=True)
            raise
        sync_folder(self._folder)

    def _loose(self, prefix: str) -> Iterator[tuple[str, str]]:
        try:
            names = os.listdir(self._folder)  # noqa: PTH208 - a Path an entry costs more than it
        except FileNotFoundError:
            return
        for name in names:
            if name.startswith(prefix) and not name.endswith(".lock"):
                with suppress(FileNotFoundError):
                    yield name, _object_id(name, self._folder / name)

    def _packed(self, prefix: str) -> Mapping[str, str]:
        try:
            lines = (self._repository / "packed-refs").read_text(errors="replace").split("\n")
        except FileNotFoundError:
            return {}
        start = f" {_PREFIX}{prefix}"
        # A line that starts with ^ names the commit of the tag above it.
        return {
            line[41 + len(_PREFIX) :]: line[:40]
            for line in lines
            if line[40:].startswith(start) and _REF_TEXT.match(line[:40])
        }

    def _take(self, lock: Path) -> int:
        lock.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + self._lock_timeout_s
        while True:
            try:
                return os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            except FileExistsError:
                self._outwait(lock, deadline)

    def _outwait(self, lock: Path, deadline: float) -> None:
        first_seen, identity = time.monotonic(), _identity(lock)
        while identity is not None and _identity(lock) == identity:
            if time.monotonic() - first_seen >= self._stale_lock_s:
                lock.unlink(missing_ok=True)
                return
            time.sleep(0.005)
        if time.monotonic() >= deadline:
            raise PredatorError(f"{lock} is held by another git client", cure="Try again")


def _object_id(name: str, file: Path) -> str:
    try:
        text = file.read_text("ascii")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError):
        text = ""
    if _REF_TEXT.match(text) is None:
        raise IntegrityError(f"the tag {name} does not hold a git object")
    return text[:40]


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns

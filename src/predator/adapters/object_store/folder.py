"""Objects as files ``ab/cdef…`` named by their sha256, refused when they are anything else."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO

from predator.adapters.object_store.digests import (
    DEFAULT_MAX_BYTES,
    check_digest,
    check_match,
    check_size,
)
from predator.domain.canonical import sha256_hex
from predator.domain.errors import IntegrityError
from predator.locks import sync_folder

_CHUNK = 1024 * 1024
_ABANDONED_S = 3600.0
# A change within one tick of the file system's clock leaves the time stamps as they were, so a
# file is only trusted by its stamps once they are older than any such tick.
_SETTLED_NS = 100_000_000

_Stamp = tuple[int, int, int, int, int]


class FolderObjectStore:
    """Content-addressed files below ``folder``; safe for many threads and processes.

    ``put`` is atomic and durable. Bytes are hashed before anyone sees them: on every ``get``,
    and on ``path`` until the file's identity (device, inode, size, times) was verified once by
    this object. Symbolic links are never followed below ``folder``. ``max_bytes`` bounds
    what is kept (``InputError``) and what is read (``IntegrityError``).
    """

    def __init__(self, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._folder = folder.absolute()
        self._max_bytes = max_bytes
        self._verified: dict[str, _Stamp] = {}
        self._incoming = self._folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        self._drop_abandoned()

    def put(self, data: bytes) -> str:
        digest = sha256_hex(check_size(data, self._max_bytes))
        # An object that is there but damaged is replaced by the good bytes in hand.
        with suppress(IntegrityError):
            self.path(digest)
            return digest
        self._write(data, self._file(digest))
        return digest

    def get(self, digest: str) -> bytes:
        with self._open(digest) as file:
            size = os.fstat(file.fileno()).st_size
            return check_match(file.read(size + 1), digest)

    def path(self, digest: str) -> Path:
        with self._open(digest) as file:
            stamp = _stamp(file)
            if self._verified.get(digest) != stamp:
                self._verify(file, digest, stamp)
        return self._file(digest)

    def _verify(self, file: BinaryIO, digest: str, stamp: _Stamp) -> None:
        started_ns = time.time_ns()
        hasher = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
        if hasher.hexdigest() != digest:
            raise IntegrityError(f"object {digest} does not match its hash")
        settled = started_ns - max(stamp[3:]) > _SETTLED_NS
        # Another put of the same bytes may have replaced the file meanwhile: sound, not trusted.
        if settled and _stamp(file) == stamp:
            self._verified[digest] = stamp

    def _file(self, digest: str) -> Path:
        return self._folder / digest[:2] / digest[2:]

    def _open(self, digest: str) -> BinaryIO:
        """The object's file, opened without following a link at its folder or its name."""
        check_digest(digest)
        try:
            folder = os.open(
                self._folder / digest[:2], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
            )
            try:
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                file = os.fdopen(os.open(digest[2:], flags, dir_fd=folder), "rb")
            finally:
                os.close(folder)
        except FileNotFoundError as error:
            raise IntegrityError(f"object {digest} is missing") from error
        except OSError as error:
            raise IntegrityError(f"object {digest} cannot be read: {error.strerror}") from error
        found = os.fstat(file.fileno())
        if stat.S_ISREG(found.st_mode) and found.st_size <= self._max_bytes:
            return file
        file.close()
        raise IntegrityError(f"object {digest} is not a plain file of at most {self._max_bytes} B")

    def _write(self, data: bytes, target: Path) -> None:
        fd, name = mkstemp(dir=self._incoming)
        beside = Path(name)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(fd, 0o444)
                os.fsync(fd)
            if not target.parent.is_dir():
                target.parent.mkdir(exist_ok=True)
                sync_folder(self._folder)
            if target.parent.is_symlink():
                raise IntegrityError(f"{target.parent} is a link, not a folder of objects")
            beside.replace(target)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)

    def _drop_abandoned(self) -> None:
        """Remove what writers that were killed long ago left half-written."""
        for file in self._incoming.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - file.lstat().st_mtime > _ABANDONED_S:
                    file.unlink()


def _stamp(file: BinaryIO) -> _Stamp:
    found = os.fstat(file.fileno())
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

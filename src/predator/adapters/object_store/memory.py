"""Objects in memory; files appear only for what :meth:`MemoryObjectStore.path` asks."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from weakref import finalize

from predator.adapters.object_store.digests import (
    DEFAULT_MAX_BYTES,
    check_digest,
    check_match,
    check_size,
)
from predator.domain.canonical import sha256_hex
from predator.domain.errors import IntegrityError


class MemoryObjectStore:
    """For tests and simulations; its files vanish with it."""

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._objects: dict[str, bytes] = {}
        self._folder: Path | None = None
        self._lock = Lock()

    def put(self, data: bytes) -> str:
        digest = sha256_hex(check_size(data, self._max_bytes))
        self._objects[digest] = bytes(data)
        return digest

    def get(self, digest: str) -> bytes:
        data = self._objects.get(check_digest(digest))
        if data is None:
            raise IntegrityError(f"object {digest} is missing")
        return data

    def path(self, digest: str) -> Path:
        data = self.get(digest)
        with self._lock:
            if self._folder is None:
                self._folder = Path(mkdtemp(prefix="predator-objects-"))
                finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
            file = self._folder / digest
            if file.exists():
                check_match(file.read_bytes(), digest)
            else:
                file.write_bytes(data)
            return file

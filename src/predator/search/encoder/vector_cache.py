"""Vectors that were once computed, on disk by the hash of what they were computed from.

One file of fixed-size records, append-only: ``crc32 | key (32 bytes) | vector (float32)``. A record
counts when it is whole and its checksum holds, so a torn write or a flipped bit costs one vector,
never a wrong one. Full float32 (154 MB for 100,000 vectors of 384) rather than half: what comes
out is bit for bit what the encoder gave, so a rerun with a warm cache ranks like the first.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import PredatorError
from predator.locks import file_lock, sync_folder

Floats = NDArray[np.float32]

MAGIC = b"PREDVEC1"
KEY_BYTES = 32
_HEADER = struct.Struct("<8sI52x")
_CRC_BYTES = 4
_BLOCK = 512

log = logging.getLogger(__name__)


def vector_key(encoder_digest: str, text: str) -> bytes:
    """SHA-256 of an encoder's digest and a text: 32 bytes."""
    return hashlib.sha256(f"{encoder_digest}\0{text}".encode("utf-8", "surrogatepass")).digest()


class VectorCache:
    """The vectors of length ``dim`` in ``folder``. Any number of readers, one writer at a time.

    Threads may share one; processes open their own. A file that is no such cache is set aside
    as ``*.damaged`` and begun anew: everything in it can be computed again.
    """

    def __init__(self, folder: Path, dim: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"vectors-{dim}.bin"
        self._dim = dim
        self._record = np.dtype(
            [("crc", "<u4"), ("key", f"V{KEY_BYTES}"), ("vector", "<f4", (dim,))]
        )
        self._rows: dict[bytes, int] = {}
        self._records = np.empty(0, self._record)
        self._inode = 0
        self._mutex = threading.Lock()
        with self._mutex:
            self._refresh()

    def __len__(self) -> int:
        """How many vectors are known here (another process may have written more since)."""
        return len(self._rows)

    def get(self, keys: Sequence[bytes]) -> tuple[NDArray[np.bool_], Floats]:
        """Which of ``keys`` are held [n], and their vectors [n, dim] (zeros where not held)."""
        vectors = np.zeros((len(keys), self._dim), np.float32)
        with self._mutex:
            rows = self._rows_of(keys)
            if (rows < 0).any():
                self._refresh()
                rows = self._rows_of(keys)
            for start in range(0, len(rows), _BLOCK):  # small blocks stay in the processor's cache
                self._read(rows[start : start + _BLOCK], vectors[start : start + _BLOCK])
        return rows >= 0, vectors

    def put(self, keys: Sequence[bytes], vectors: Floats) -> int:
        """Keep the vectors [n, dim]; keys already held are passed over. Returns how many are new.

        At return they survive a crash. Raises ``PredatorError`` where the disk refuses them;
        what was held before stays.
        """
        if vectors.shape != (len(keys), self._dim):
            raise ValueError(f"{vectors.shape} vectors for {len(keys)} keys of {self._dim}")
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError(f"a key has {KEY_BYTES} bytes")
        try:
            with self._mutex, self._lock_file() as lock, file_lock(lock.fileno(), str(self.path)):
                return self._append(keys, vectors)
        except OSError as error:
            raise PredatorError(
                f"the vector cache {self.path} cannot be written: {error.strerror}",
                cure="Make room or choose another folder; vectors are computed again until then",
            ) from error

    def _append(self, keys: Sequence[bytes], vectors: Floats) -> int:
        self._create_if_needed()
        self._refresh()
        fresh = {key: i for i, key in enumerate(keys) if key not in self._rows}
        if not fresh:
            return 0
        records = np.zeros(len(fresh), self._record)
        records["key"] = np.frombuffer(b"".join(fresh), f"V{KEY_BYTES}")
        records["vector"] = vectors[list(fresh.values())]
        records["crc"] = self._checksums(records)
        with self.path.open("r+b", buffering=0) as file:
            # A torn tail is shorter than a record, so it is overwritten. Where the disk fills
            # up, what was written stays: whole records count, and nobody's view shrinks.
            file.seek(_HEADER.size + len(self._records) * self._record.itemsize)
            rest = memoryview(records.tobytes())
            while rest:
                rest = rest[file.write(rest) :]
            os.fdatasync(file.fileno())
        self._refresh()
        return len(fresh)

    def _read(self, rows: NDArray[np.int64], vectors: Floats) -> None:
        """Fill ``vectors`` from ``rows``; a row whose checksum fails becomes -1."""
        places = np.flatnonzero(rows >= 0)
        records = self._records[rows[places]]
        whole = records["crc"] == self._checksums(records)
        vectors[places[whole]] = records["vector"][whole]
        rows[places[~whole]] = -1
        for key in records["key"][~whole]:
            self._rows.pop(key.tobytes(), None)

    def _rows_of(self, keys: Sequence[bytes]) -> NDArray[np.int64]:
        return np.fromiter((self._rows.get(key, -1) for key in keys), np.int64, len(keys))

    def _refresh(self) -> None:
        """Learn of the records that were appended since the last look."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return
        if status.st_ino != self._inode:
            if not self._is_ours():
                return
            self._inode = status.st_ino
            self._rows, self._records = {}, np.empty(0, self._record)
        known = len(self._records)
        count = (status.st_size - _HEADER.size) // self._record.itemsize
        if count <= known:
            return
        self._records = np.memmap(self.path, self._record, "r", _HEADER.size, (count,))
        keys = np.ascontiguousarray(self._records["key"][known:]).tobytes()
        for i in range(count - known):
            self._rows[keys[i * KEY_BYTES : (i + 1) * KEY_BYTES]] = known + i

    def _is_ours(self) -> bool:
        with self.path.open("rb") as file:
            return file.read(_HEADER.size) == _HEADER.pack(MAGIC, self._dim)

    def _create_if_needed(self) -> None:
        if self.path.exists():
            if self._is_ours():
                return
            log.warning("%s is no vector cache: set aside, begun anew", self.path)
            self.path.replace(self.path.with_suffix(".damaged"))
        fresh = self.path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(_HEADER.pack(MAGIC, self._dim))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        sync_folder(self.path.parent)

    def _lock_file(self) -> Any:
        return self.path.with_suffix(".lock").open("ab")

    def _checksums(self, records: NDArray[Any]) -> NDArray[np.uint32]:
        raw, size = memoryview(records.tobytes()), self._record.itemsize
        sums = (
            zlib.crc32(raw[start + _CRC_BYTES : start + size]) for start in range(0, len(raw), size)
        )
        return np.fromiter(sums, np.uint32, len(records))


def keep(cache: VectorCache | None, keys: Sequence[bytes], vectors: Floats) -> None:
    """Put into ``cache``, where there is one; a cache that fails costs time, not the result."""
    if cache is None:
        return
    try:
        cache.put(keys, vectors)
    except PredatorError as error:
        log.warning("%s", error)

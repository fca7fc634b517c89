"""The audit journal of one cycle: JSON lines, each bound by hash to the one before it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from predator.domain.canonical import sha256_hex
from predator.domain.errors import ConflictError, IntegrityError
from predator.journal.chain import (
    GENESIS,
    BrokenChain,
    VerifyResult,
    read_line,
    seal,
    to_line,
    verify_lines,
)
from predator.journal.redact import redact
from predator.journal.summary import CycleSummary
from predator.locks import file_lock, sync_folder

_OPEN = os.O_NOFOLLOW | os.O_CLOEXEC


class AuditJournal:
    """Appends to the journal at ``path``; one writer at a time, whoever it is.

    A record is on the disk when :meth:`append` returns. A last line that a crash left half
    written was never acknowledged: opening cuts it off and records that it did. Damage anywhere
    else raises ``IntegrityError``, and nothing is appended to it. Once the summary is written
    the journal is closed: ``ConflictError``, so that a zombie cannot write past the end.
    """

    def __init__(
        self, path: Path, *, now: Callable[[], float] = time.time, lock_timeout_s: float = 10.0
    ) -> None:
        self._path = path
        self._now = now
        self._lock_timeout_s = lock_timeout_s
        self._head = GENESIS
        self._records = 0
        self._bytes = 0
        self._summary: Mapping[str, Any] | None = None
        if path.exists():
            with self._writing() as fd:
                self._catch_up(fd)

    @property
    def head(self) -> str:
        """Hash of the last record this object wrote or read: the anchor for :meth:`verify`."""
        return self._head

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """The summary, once the journal is closed by it."""
        return self._summary

    def append(self, record: Mapping[str, Any]) -> str:
        """Write ``record`` (plain JSON, redacted first) durably; returns its hash.

        ``ValueError`` for what is no JSON, or names ``summary`` or a field of the chain's own.
        """
        if "summary" in record:
            raise ValueError("a summary closes the journal: use write_summary")
        with self._writing() as fd:
            self._catch_up(fd)
            return self._append(fd, record)

    def write_summary(self, summary: CycleSummary) -> str:
        """Close the journal with the cycle's summary as its last record; returns its hash.

        Idempotent: the same summary again changes nothing.
        """
        payload = redact(summary.to_json())
        with self._writing() as fd:
            self._catch_up(fd)
            if self._summary is not None and self._summary == json.loads(json.dumps(payload)):
                return self._head
            return self._append(fd, {"type": "summary", "summary": payload})

    def verify(self, expected_head: str | None = None) -> VerifyResult:
        """Check the file from its first byte; see :func:`verify_journal`."""
        return verify_journal(self._path, expected_head, lock_timeout_s=self._lock_timeout_s)

    def _append(self, fd: int, record: Mapping[str, Any]) -> str:
        if self._summary is not None:
            raise ConflictError(f"{self._path} is closed by its summary")
        sealed = seal(self._records + 1, self._head, self._now(), redact(record))
        line = to_line(sealed)
        try:
            _write_all(fd, line)
            os.fsync(fd)
        except BaseException:
            os.ftruncate(fd, self._bytes)
            raise
        self._accept(sealed, len(line))
        return self._head

    def _catch_up(self, fd: int) -> None:
        """Read what others appended since; cut and record an unfinished last line."""
        size = os.fstat(fd).st_size
        if size < self._bytes:
            raise IntegrityError(f"{self._path} has lost records since it was opened")
        if size == self._bytes:
            return
        fresh = os.pread(fd, size - self._bytes, self._bytes)
        whole, newline, torn = fresh.rpartition(b"\n")
        for line in whole.split(b"\n") if newline else ():
            try:
                self._accept(read_line(line, self._records + 1, self._head), len(line) + 1)
            except BrokenChain as broken:
                number = self._records + 1
                raise IntegrityError(f"{self._path}: record {number}: {broken}") from broken
        if torn:
            os.ftruncate(fd, self._bytes)
            repair = {"type": "repair", "cut_bytes": len(torn), "cut_sha256": sha256_hex(torn)}
            self._append(fd, repair)

    def _accept(self, record: Mapping[str, Any], length: int) -> None:
        if self._summary is not None:
            raise BrokenChain("it follows the summary, which is the last record")
        self._head = record["hash"]
        self._records += 1
        self._bytes += length
        self._summary = record.get("summary")

    @contextmanager
    def _writing(self) -> Iterator[int]:
        fresh = not self._path.exists()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _OPEN, 0o644)
        try:
            if fresh:
                sync_folder(self._path.parent)
            with file_lock(fd, f"the journal {self._path}", timeout_s=self._lock_timeout_s):
                yield fd
        finally:
            os.close(fd)


def verify_journal(
    path: Path, expected_head: str | None = None, *, lock_timeout_s: float = 10.0
) -> VerifyResult:
    """Check a journal without changing it.

    Any changed, lost, repeated or moved record is found by the chain alone, except that records
    cut off the end leave a shorter, sound chain: give ``expected_head``, kept elsewhere, to
    find that too. A missing file is an empty journal.
    """
    try:
        fd = os.open(path, os.O_RDONLY | _OPEN)
    except FileNotFoundError:
        return verify_lines((), expected_head)
    with (
        os.fdopen(fd, "rb") as file,
        file_lock(fd, f"the journal {path}", timeout_s=lock_timeout_s, shared=True),
    ):
        return verify_lines(file, expected_head)


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]

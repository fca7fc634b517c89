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
    BrokenChain,
    Chain,
    VerifyResult,
    read_lines,
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
        self._chain = Chain()
        self._bytes = 0
        self._refresh()

    @property
    def head(self) -> str:
        """Hash of the last record this object wrote or read: the anchor for :meth:`verify`."""
        return self._chain.head

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """The summary, once the journal is closed by it."""
        return self._chain.summary

    def read(self) -> list[dict[str, Any]]:
        """All records, oldest first, those of other writers included; for reading only.

        What was read once is not read again, so that a call costs little; :meth:`verify` looks
        at the file anew. Raises ``IntegrityError`` naming the record where the chain breaks.
        """
        self._refresh()
        return list(self._chain.records)

    def find(self, key: str) -> Mapping[str, Any] | None:
        """The record with this ``key``, if there is one."""
        self._refresh()
        return self._chain.keyed.get(key)

    def append(self, record: Mapping[str, Any]) -> str:
        """Write ``record`` (plain JSON, redacted first) durably; returns its hash.

        ``ValueError`` for what is no JSON, or names ``summary``, ``key`` or a field of the
        chain's own.
        """
        _check_names(record)
        with self._writing() as fd:
            self._catch_up(fd)
            return self._append(fd, record)

    def append_once(self, key: str, record: Mapping[str, Any]) -> str:
        """Write ``record`` with its ``key``, unless a record with that key is there already.

        Returns the hash of the one that is kept, which may hold something else: the first one
        counts, even once the journal is closed. ``ValueError`` as :meth:`append`, and for a key
        that is empty or looks like a secret.
        """
        return self.append_made(key, lambda _: record)

    def append_made(self, key: str, make: Callable[[int], Mapping[str, Any]]) -> str:
        """As :meth:`append_once`, the record made by ``make`` from its sequence number.

        ``make`` is called only where nothing is kept yet, and under the journal's lock: what it
        writes beside the journal, under that number, nobody else writes.
        """
        if not key or redact(key) != key:
            raise ValueError(f"{key[:80]!r} cannot be the key of a record")
        with self._writing() as fd:
            self._catch_up(fd)
            if (kept := self._chain.keyed.get(key)) is not None:
                return str(kept["hash"])
            self._check_open()
            record = make(len(self._chain.records) + 1)
            _check_names(record)
            return self._append(fd, {**record, "key": key})

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody appends meanwhile, not even this object; :meth:`find` sees all that is there.

        For what is written beside the journal and must not come after a certain record.
        """
        with self._writing() as fd:
            self._catch_up(fd)
            yield

    def write_summary(self, summary: CycleSummary) -> str:
        """Close the journal with the cycle's summary as its last record; returns its hash.

        Idempotent: the same summary again changes nothing.
        """
        payload = redact(summary.to_json())
        with self._writing() as fd:
            self._catch_up(fd)
            if self.summary is not None and self.summary == json.loads(json.dumps(payload)):
                return self.head
            return self._append(fd, {"type": "summary", "summary": payload})

    def verify(self, expected_head: str | None = None) -> VerifyResult:
        """Check the file from its first byte; see :func:`verify_journal`."""
        return verify_journal(self._path, expected_head, lock_timeout_s=self._lock_timeout_s)

    def _append(self, fd: int, record: Mapping[str, Any]) -> str:
        self._check_open()
        sealed = seal(len(self._chain.records) + 1, self.head, self._now(), redact(record))
        line = to_line(sealed)
        try:
            _write_all(fd, line)
            os.fsync(fd)
        except BaseException:
            os.ftruncate(fd, self._bytes)
            raise
        self._chain.accept(json.loads(line))
        self._bytes += len(line)
        return self.head

    def _check_open(self) -> None:
        if self.summary is not None:
            raise ConflictError(f"{self._path} is closed by its summary")

    def _refresh(self) -> None:
        """Take in what was appended since; without a lock where that is nothing."""
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            if self._bytes:
                raise IntegrityError(f"{self._path} is gone") from None
            return
        if size != self._bytes:
            with self._writing() as fd:
                self._catch_up(fd)

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
                self._chain.read(line)
            except BrokenChain as broken:
                number = len(self._chain.records) + 1
                raise IntegrityError(f"{self._path}: record {number}: {broken}") from broken
            self._bytes += len(line) + 1
        if torn:
            os.ftruncate(fd, self._bytes)
            repair = {"type": "repair", "cut_bytes": len(torn), "cut_sha256": sha256_hex(torn)}
            self._append(fd, repair)

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
    return verify_lines(_lines_of(path, lock_timeout_s), expected_head)


def read_journal(path: Path, *, lock_timeout_s: float = 10.0) -> tuple[Chain, str]:
    """The sound beginning of a journal, and why it ends there ("" where all of it is sound).

    Changes nothing. A missing file is an empty journal.
    """
    return read_lines(_lines_of(path, lock_timeout_s))


def _lines_of(path: Path, lock_timeout_s: float) -> list[bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | _OPEN)
    except FileNotFoundError:
        return []
    with (
        os.fdopen(fd, "rb") as file,
        file_lock(fd, f"the journal {path}", timeout_s=lock_timeout_s, shared=True),
    ):
        return file.readlines()


def _check_names(record: Mapping[str, Any]) -> None:
    if "summary" in record:
        raise ValueError("a summary closes the journal: use write_summary")
    if "key" in record:
        raise ValueError("a key makes a record unique: use append_once")


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]

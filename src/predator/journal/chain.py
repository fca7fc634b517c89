"""The hash chain: how a record becomes a line, and how lines are checked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from predator.domain.canonical import canonical_json, digest_of

GENESIS = "0" * 64
"""What the first record names as its predecessor, and the head of an empty journal."""

RESERVED = frozenset({"sequence", "previous", "hash", "at"})


class BrokenChain(Exception):  # noqa: N818 - not for users: it becomes a VerifyResult
    """The line is not the next record of the chain; ``str`` says why."""


@dataclass(frozen=True, slots=True)
class VerifyResult:
    """Whether every record is what was written, in order.

    ``records`` counts the good ones before the first bad; ``first_bad`` is the sequence number
    (from 1) where the chain breaks, ``reason`` says how; ``head`` is the hash of the last good
    record (:data:`GENESIS` for an empty journal).
    """

    ok: bool
    records: int
    first_bad: int | None
    reason: str
    head: str


def seal(sequence: int, previous: str, at: float, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The whole record, its hash over the canonical JSON of everything else."""
    if taken := RESERVED & payload.keys():
        raise ValueError(f"a journal record cannot bring its own {', '.join(sorted(taken))}")
    record = {**payload, "sequence": sequence, "previous": previous, "at": at}
    return {**record, "hash": digest_of(record)}


def to_line(record: Mapping[str, Any]) -> bytes:
    """One line of JSON. ``ValueError`` where it would not read back as the same record."""
    line = canonical_json(record)
    if canonical_json(json.loads(line)) != line:
        raise ValueError("a journal record must be plain JSON with text keys")
    return line + b"\n"


def read_line(line: bytes, sequence: int, previous: str) -> dict[str, Any]:
    """The record on ``line``, proven to be number ``sequence`` after ``previous``."""
    try:
        record = json.loads(line)
        if not isinstance(record, dict) or canonical_json(record) != line:
            raise BrokenChain("the line was rewritten")
    except (ValueError, RecursionError) as error:
        raise BrokenChain("the line is not JSON") from error
    body = {key: value for key, value in record.items() if key != "hash"}
    if record.get("hash") != digest_of(body):
        raise BrokenChain("the record does not match its hash")
    if record.get("previous") != previous or record.get("sequence") != sequence:
        raise BrokenChain("the record does not follow the one before it")
    return record


class Chain:
    """A journal in memory, grown record by record; what cannot follow is ``BrokenChain``.

    ``records`` are the good ones so far, ``keyed`` those that carry a ``key``, by it. Both are
    for reading only.
    """

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.keyed: dict[str, dict[str, Any]] = {}

    @property
    def head(self) -> str:
        """The hash of the last record, :data:`GENESIS` without one."""
        head: str = self.records[-1]["hash"] if self.records else GENESIS
        return head

    @property
    def summary(self) -> Mapping[str, Any] | None:
        """The summary, once the journal is closed by it."""
        return self.records[-1].get("summary") if self.records else None

    def read(self, line: bytes) -> None:
        """Take the next line (without its line break)."""
        self.accept(read_line(line, len(self.records) + 1, self.head))

    def accept(self, record: dict[str, Any]) -> None:
        """Take a record that was sealed for this place."""
        key = record.get("key")
        if self.summary is not None:
            raise BrokenChain("it follows the summary, which is the last record")
        if key is not None and not isinstance(key, str):
            raise BrokenChain("its key is not a text")
        if key in self.keyed:
            raise BrokenChain(f"its key {key[:80]!r} is taken by an earlier record")
        self.records.append(record)
        if key is not None:
            self.keyed[key] = record


def read_lines(lines: Iterable[bytes]) -> tuple[Chain, str]:
    """The sound beginning of a journal (lines with their line breaks), and why it ends there.

    The reason is empty where every line is sound.
    """
    chain = Chain()
    for line in lines:
        try:
            if not line.endswith(b"\n"):
                raise BrokenChain("the last line is incomplete")
            chain.read(line[:-1])
        except BrokenChain as broken:
            return chain, str(broken)
    return chain, ""


def verify_lines(lines: Iterable[bytes], expected_head: str | None = None) -> VerifyResult:
    """Check a whole journal, line by line (each still with its line break).

    A chain cannot know what was cut off its end: ``expected_head``, kept elsewhere, can.
    """
    chain, reason = read_lines(lines)
    good = len(chain.records)
    if not reason and expected_head not in (None, chain.head):
        reason = "the journal does not end at its anchor"
    return VerifyResult(not reason, good, good + 1 if reason else None, reason, chain.head)

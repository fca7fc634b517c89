"""A step that is done again, by whomever, leaves one record; records can be read and found."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predator.domain.canonical import canonical_json, digest_of
from predator.domain.errors import ConflictError, IntegrityError
from predator.journal.audit import AuditJournal, read_journal, verify_journal
from predator.journal.chain import GENESIS
from predator.journal.redact import MASK
from predator.journal.summary import CycleSummary

SUMMARY = CycleSummary(
    "si_2025_12_07_001", "2025-12-07T01:23:45Z", "local", {"type": "scheduled"}, [], "system",
    0.0, "success", True,
)  # fmt: skip


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "si_2025_12_07_001" / "audit.jsonl"


@pytest.fixture
def journal(path: Path) -> AuditJournal:
    return AuditJournal(path, now=lambda: 7.0)


def records_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def test_a_key_is_written_once_and_the_first_counts(journal: AuditJournal, path: Path) -> None:
    first = journal.append_once("train:action", {"type": "action", "status": "completed"})
    before = path.read_bytes()
    assert journal.append_once("train:action", {"type": "action", "status": "other"}) == first
    assert AuditJournal(path).append_once("train:action", {}) == first
    assert path.read_bytes() == before
    [record] = records_of(path)
    assert (record["key"], record["status"], record["hash"]) == ("train:action", "completed", first)
    assert journal.find("train:action") == record
    assert journal.find("other") is None


def test_a_key_is_kept_across_the_end_and_nothing_new_comes_after(
    journal: AuditJournal, path: Path
) -> None:
    first = journal.append_once("begin", {"type": "start"})
    head = journal.write_summary(SUMMARY)
    for one in (journal, AuditJournal(path)):
        assert one.append_once("begin", {"type": "start"}) == first
        with pytest.raises(ConflictError):
            one.append_once("late", {"type": "late"})
        assert one.head == head


def test_what_one_appended_another_finds(journal: AuditJournal, path: Path) -> None:
    other = AuditJournal(path)
    hashes = [journal.append_once("a", {"n": 1}), other.append_once("b", {"n": 2})]
    assert journal.append_once("b", {"n": 3}) == hashes[1]
    for one in (journal, other):
        assert [record["n"] for record in one.read()] == [1, 2]
    assert [record["hash"] for record in journal.read()] == hashes


@pytest.mark.parametrize("key", ["", "token=abcdef123", "Bearer abcdef123456", "a\ud800"])
def test_a_key_that_would_not_read_back_is_refused(journal: AuditJournal, key: str) -> None:
    with pytest.raises(ValueError, match="key of a record"):
        journal.append_once(key, {"type": "x"})
    assert journal.read() == []


def test_a_record_cannot_bring_a_key_of_its_own(journal: AuditJournal) -> None:
    for act in (journal.append, lambda record: journal.append_once("b", record)):
        with pytest.raises(ValueError, match="use append_once"):
            act({"type": "x", "key": "a"})
        with pytest.raises(ValueError, match="use write_summary"):
            act({"type": "x", "summary": {}})


def test_secrets_are_masked_here_too(journal: AuditJournal, path: Path) -> None:
    journal.append_once("a", {"error": "Bearer abcdef123456"})
    assert records_of(path)[0]["error"] == f"Bearer {MASK}"


def test_a_record_is_made_once_under_the_number_that_it_gets(
    journal: AuditJournal, path: Path
) -> None:
    made: list[int] = []

    def make(number: int) -> dict[str, Any]:
        made.append(number)
        return {"file": f"{number:03d}.json"}

    journal.append({"type": "start"})
    assert journal.append_made("a", make) == journal.append_made("a", make)
    AuditJournal(path).append_made("b", make)
    assert made == [2, 3]
    assert [r.get("file") for r in records_of(path)] == [None, "002.json", "003.json"]


def test_a_record_that_cannot_be_made_leaves_nothing(journal: AuditJournal) -> None:
    def fail(_: int) -> dict[str, Any]:
        raise OSError(28, "No space left on device")

    head = journal.append({"type": "start"})
    with pytest.raises(OSError, match="No space"):
        journal.append_made("a", fail)
    assert journal.head == head and journal.find("a") is None
    journal.append_once("a", {"type": "x"})
    assert journal.verify().records == 2


def test_threads_that_race_for_one_key_write_one_record(path: Path) -> None:
    shared = AuditJournal(path)
    found: list[str] = []

    def race(own: AuditJournal, number: int) -> None:
        for key in ("a", "b", "c"):
            found.append(own.append_once(key, {"by": number}))

    threads = [
        threading.Thread(target=race, args=(shared if n % 2 else AuditJournal(path), n))
        for n in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 48 and len(set(found)) == 3
    assert [record["key"] for record in records_of(path)] == ["a", "b", "c"]
    assert verify_journal(path).ok


WRITER = """
import sys
from pathlib import Path
from predator.journal.audit import AuditJournal
journal = AuditJournal(Path(sys.argv[1]))
number = 0
while True:
    print(number, journal.append_once(f"step-{number}", {"text": "x" * 2000}), flush=True)
    number += 1
"""


def test_processes_killed_at_any_instant_neither_lose_nor_double_a_step(path: Path) -> None:
    acknowledged: dict[str, str] = {}
    for _ in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        for writer in writers:
            assert writer.stdout is not None
            said = [writer.stdout.readline() for _ in range(5)]
            writer.kill()
            said += writer.stdout.readlines()
            writer.stdout.close()
            writer.wait(10)
            for line in said:
                if line.endswith("\n"):
                    number, kept = line.split()
                    assert acknowledged.setdefault(number, kept) == kept
    journal = AuditJournal(path)
    keyed = [r for r in journal.read() if "key" in r]
    assert len({r["key"] for r in keyed}) == len(keyed)
    hashes = {r["key"]: r["hash"] for r in keyed}
    assert acknowledged
    for number, kept in acknowledged.items():
        assert hashes[f"step-{number}"] == kept
    assert journal.verify(expected_head=journal.head).ok


class TestReading:
    def test_costs_no_second_look_at_what_is_known(
        self, journal: AuditJournal, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(300):
            journal.append({"number": number})
        other = AuditJournal(path)

        def forbidden(*_: object) -> bytes:
            raise AssertionError("the file was read again")

        monkeypatch.setattr("os.pread", forbidden)
        for one in (journal, other):
            assert [record["number"] for record in one.read()] == list(range(300))

    def test_names_the_record_where_the_chain_breaks(
        self, journal: AuditJournal, path: Path
    ) -> None:
        journal.append({"n": 1})
        whole = path.read_bytes()
        path.write_bytes(whole + whole)
        with pytest.raises(IntegrityError, match="record 2: the record does not follow"):
            journal.read()
        chain, reason = read_journal(path)
        assert [record["n"] for record in chain.records] == [1]
        assert reason == "the record does not follow the one before it"

    def test_a_journal_that_is_gone_is_not_an_empty_one(
        self, journal: AuditJournal, path: Path
    ) -> None:
        assert journal.read() == []
        journal.append({"n": 1})
        path.unlink()
        with pytest.raises(IntegrityError, match="is gone"):
            journal.read()
        assert not path.exists()
        assert read_journal(path)[0].head == GENESIS

    def test_changes_nothing_of_what_a_crash_left_half_written(
        self, journal: AuditJournal, path: Path
    ) -> None:
        journal.append({"n": 1})
        with path.open("ab") as file:
            file.write(b'{"n":2')
        torn = path.read_bytes()
        chain, reason = read_journal(path)
        assert (len(chain.records), reason) == (1, "the last line is incomplete")
        assert path.read_bytes() == torn


def forged(*records: dict[str, Any]) -> bytes:
    """A chain in which every hash fits."""
    lines, previous = [], GENESIS
    for sequence, record in enumerate(records, start=1):
        body = {**record, "at": 1.0, "sequence": sequence, "previous": previous}
        previous = digest_of(body)
        lines.append(canonical_json({**body, "hash": previous}) + b"\n")
    return b"".join(lines)


@pytest.mark.parametrize(
    ("records", "bad", "reason"),
    [
        ([{"key": "a"}, {"key": "b"}, {"key": "a"}], 3, "its key 'a' is taken"),
        ([{"key": ["a"]}], 1, "its key is not a text"),
        ([{"summary": {"outcome": "x"}}, {"type": "late"}], 2, "it follows the summary"),
    ],
)
def test_a_chain_that_fits_can_still_be_no_journal(
    path: Path, records: list[dict[str, Any]], bad: int, reason: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(forged(*records))
    found = verify_journal(path)
    assert (found.ok, found.first_bad) == (False, bad)
    assert found.reason.startswith(reason)
    open_it: Callable[[], object] = lambda: AuditJournal(path)  # noqa: E731
    with pytest.raises(IntegrityError, match=f"record {bad}"):
        open_it()

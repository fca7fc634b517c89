"""The journal keeps what was acknowledged, mends a torn end, and shows any tampering."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predator.domain.canonical import canonical_json, digest_of
from predator.domain.errors import ConflictError, IntegrityError, PredatorError
from predator.journal.audit import AuditJournal, verify_journal
from predator.journal.chain import GENESIS
from predator.journal.summary import CycleSummary

NOW = 1_765_000_000.5
ACTIONS: list[dict[str, Any]] = [
    {"sequence": 1, "type": "diagnostic", "status": "completed", "duration_sec": 0.5},
    {"sequence": 2, "type": "deploy", "status": "completed", "outputs": ["values.yaml"]},
]
FIELDS: dict[str, Any] = {
    "cycle_id": "si_2025_12_07_001",
    "timestamp": "2025-12-07T01:23:45Z",
    "environment": "local",
    "trigger": {"type": "ndcg_drop", "value": 0.72, "baseline": 0.82},
    "actions": ACTIONS,
    "approver": "system",
    "total_cost_usd": 0.0,
    "outcome": "success",
    "rollback_available": True,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "si_2025_12_07_001" / "audit.jsonl"


@pytest.fixture
def journal(path: Path) -> AuditJournal:
    return AuditJournal(path, now=lambda: NOW)


def filled(path: Path, records: int) -> AuditJournal:
    journal = AuditJournal(path, now=lambda: NOW)
    for number in range(records):
        journal.append({"type": "action", "number": number, "note": "зміна\u2028рядка\n"})
    return journal


def records_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


class TestAppending:
    def test_each_record_is_bound_to_the_one_before(
        self, journal: AuditJournal, path: Path
    ) -> None:
        first = journal.append({"type": "signal", "value": 0.72})
        second = journal.append({"type": "diagnosis"})
        one, two = records_of(path)
        assert one == {
            "sequence": 1,
            "previous": GENESIS,
            "at": NOW,
            "type": "signal",
            "value": 0.72,
            "hash": first,
        }
        assert (two["sequence"], two["previous"], two["hash"]) == (2, first, second)
        body = {key: value for key, value in two.items() if key != "hash"}
        assert digest_of(body) == second == journal.head
        result = journal.verify(expected_head=second)
        assert (result.ok, result.records, result.first_bad, result.head) == (True, 2, None, second)

    def test_nothing_is_written_before_the_first_record(
        self, journal: AuditJournal, path: Path
    ) -> None:
        assert not path.exists()
        assert journal.head == GENESIS
        assert journal.verify().ok
        assert not journal.verify(expected_head="f" * 64).ok

    def test_goes_on_where_another_process_or_object_stopped(self, path: Path) -> None:
        first, second = filled(path, 2), AuditJournal(path)
        second.append({"type": "b"})
        first.append({"type": "c"})
        second.append({"type": "d"})
        assert [record["sequence"] for record in records_of(path)] == [1, 2, 3, 4, 5]
        assert AuditJournal(path).verify(expected_head=second.head).ok

    def test_secrets_never_reach_the_file(self, journal: AuditJournal, path: Path) -> None:
        journal.append({"error": "Bearer abcdef123456", "config": {"webhook": "https://x/y"}})
        journal.write_summary(CycleSummary(**{**FIELDS, "trigger": {"token": "abcdef123456"}}))
        assert b"abcdef123456" not in path.read_bytes()
        assert b"https://x/y" not in path.read_bytes()

    @pytest.mark.parametrize(
        "record",
        [
            {"at": 1},
            {"hash": "x"},
            {"sequence": 9},
            {"previous": "x"},
            {"summary": {}},
            {"value": float("nan")},
            {"value": float("inf")},
            {"value": b"bytes"},
            {"value": {1, 2}},
            {"value": {1: "a", "1": "b"}},
        ],
        ids=str,
    )
    def test_what_cannot_be_recorded_is_refused(
        self, journal: AuditJournal, record: dict[str, Any]
    ) -> None:
        head = journal.append({"type": "fine"})
        with pytest.raises((ValueError, TypeError)):
            journal.append(record)
        assert journal.verify(expected_head=head).ok

    def test_a_full_disk_loses_nothing_and_tears_nothing(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        journal = filled(path, 3)
        before = path.read_bytes()
        real = os.write

        def short_then_full(fd: int, data: bytes) -> int:
            if len(data) < 50:
                raise OSError(28, "No space left on device")
            return real(fd, data[: len(data) // 2])

        def full(fd: int) -> None:
            raise OSError(5, "Input/output error")

        for name, failing in (("write", short_then_full), ("fsync", full)):
            with monkeypatch.context() as patch:
                patch.setattr(os, name, failing)
                with pytest.raises(OSError):
                    journal.append({"type": "lost"})
            assert path.read_bytes() == before
        journal.append({"type": "kept"})
        assert journal.verify().records == 4

    def test_a_stopped_holder_stops_nobody_for_ever(self, path: Path) -> None:
        filled(path, 1)
        journal = AuditJournal(path, lock_timeout_s=0.05)
        with path.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            for act in (lambda: journal.append({"a": 1}), journal.verify):
                with pytest.raises(PredatorError, match="locked"):
                    act()
        assert journal.append({"a": 1}) == journal.head

    def test_a_link_is_not_followed(self, path: Path, tmp_path: Path) -> None:
        path.parent.mkdir()
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(OSError):
            AuditJournal(path).append({"a": 1})
        assert not (tmp_path / "elsewhere").exists()


class TestSummary:
    def test_is_the_last_record_in_the_shape_of_the_audit_trail(
        self, journal: AuditJournal, path: Path
    ) -> None:
        journal.append({"type": "signal"})
        journal.write_summary(CycleSummary(**FIELDS))
        last = records_of(path)[-1]
        assert last["summary"] == FIELDS
        assert AuditJournal(path).summary == FIELDS

    def test_closes_the_journal_once(self, journal: AuditJournal, path: Path) -> None:
        zombie = AuditJournal(path)
        head = journal.write_summary(CycleSummary(**FIELDS))
        assert journal.write_summary(CycleSummary(**FIELDS)) == head
        assert AuditJournal(path).write_summary(CycleSummary(**FIELDS)) == head
        for late in (journal, zombie, AuditJournal(path)):
            with pytest.raises(ConflictError):
                late.append({"type": "late"})
            with pytest.raises(ConflictError):
                late.write_summary(CycleSummary(**{**FIELDS, "outcome": "other"}))
        assert verify_journal(path, head).records == 1

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("cycle_id", "../x"),
            ("timestamp", "yesterday"),
            ("timestamp", "2025-12-07T01:23:45+02:00"),
            ("total_cost_usd", float("nan")),
            ("total_cost_usd", -1.0),
            ("actions", [{"sequence": 1, "type": "x"}]),
            ("actions", [ACTIONS[1]]),
            ("actions", [*ACTIONS, ACTIONS[0]]),
        ],
    )
    def test_a_malformed_summary_is_refused(self, field: str, value: Any) -> None:
        with pytest.raises(ValueError):
            CycleSummary(**{**FIELDS, field: value})


class TestTornTail:
    def test_is_cut_and_that_is_recorded_wherever_it_tore(self, path: Path) -> None:
        head = filled(path, 3).head
        whole = path.read_bytes()
        last = whole.rstrip(b"\n").rfind(b"\n") + 1
        for end in range(last + 1, len(whole)):
            path.write_bytes(whole[:end])
            assert not verify_journal(path).ok
            journal = AuditJournal(path)
            repair = records_of(path)[-1]
            assert (repair["type"], repair["cut_bytes"]) == ("repair", end - last)
            assert journal.verify(expected_head=journal.head).records == 3
            assert journal.head != head

    def test_damage_that_no_crash_leaves_is_not_mended(self, path: Path) -> None:
        filled(path, 3)
        damaged = path.read_bytes().replace(b'"number":1', b'"number":7')
        path.write_bytes(damaged)
        with pytest.raises(IntegrityError, match="record 2"):
            AuditJournal(path)
        assert path.read_bytes() == damaged

    def test_a_journal_cut_under_its_writer_is_refused(self, path: Path) -> None:
        journal = filled(path, 3)
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(IntegrityError, match="lost"):
            journal.append({"a": 1})


def tampered(lines: list[bytes], kind: str, chance: np.random.Generator) -> list[bytes]:
    """One random change of ``kind`` to the whole journal."""
    lines = list(lines)
    at = int(chance.integers(len(lines)))
    if kind == "flip":
        line = bytearray(lines[at])
        line[int(chance.integers(len(line)))] ^= int(chance.integers(1, 256))
        lines[at] = bytes(line)
    elif kind == "edit":
        record = json.loads(lines[at])
        record["number"] += 1
        lines[at] = canonical_json(record) + b"\n"
    elif kind == "forge":
        record = json.loads(lines[at])
        record["number"] += 1
        del record["hash"]
        lines[at] = canonical_json({**record, "hash": digest_of(record)}) + b"\n"
    elif kind == "respace":
        lines[at] = lines[at].replace(b'":', b'": ', 1)
    elif kind == "delete":
        del lines[at]
    elif kind == "reorder":
        other = (at + 1 + int(chance.integers(len(lines) - 1))) % len(lines)
        lines[at], lines[other] = lines[other], lines[at]
    elif kind == "duplicate":
        lines.insert(int(chance.integers(len(lines) + 1)), lines[at])
    elif kind == "truncate":
        whole = b"".join(lines)
        return [whole[: int(chance.integers(len(whole)))]]
    return lines


@pytest.mark.parametrize(
    "kind", ["flip", "edit", "forge", "respace", "delete", "reorder", "duplicate", "truncate"]
)
def test_every_change_to_a_record_is_detected(path: Path, kind: str) -> None:
    head = filled(path, 12).head
    original = path.read_bytes()
    lines = original.splitlines(keepends=True)
    assert len(lines) == 12
    chance = np.random.default_rng(5)
    for _ in range(300):
        changed = b"".join(tampered(lines, kind, chance))
        if changed == original:
            continue
        path.write_bytes(changed)
        result = verify_journal(path, expected_head=head)
        assert not result.ok
        assert result.first_bad == result.records + 1
        assert result.reason


def test_records_cut_off_the_end_are_seen_only_by_an_anchor(path: Path) -> None:
    head = filled(path, 3).head
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]))
    assert verify_journal(path).ok
    result = verify_journal(path, expected_head=head)
    assert (result.ok, result.records, result.first_bad) == (False, 2, 3)


WRITER = """
import sys
from pathlib import Path
from predator.journal.audit import AuditJournal
journal = AuditJournal(Path(sys.argv[1]))
number = 0
while True:
    journal.append({"writer": sys.argv[2], "number": number, "text": "x" * 3000})
    print(sys.argv[2], number, flush=True)
    number += 1
"""


def test_two_writers_killed_at_any_instant_lose_no_acknowledged_record(path: Path) -> None:
    acknowledged: list[str] = []
    for life in range(3):
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", WRITER, str(path), f"{life}{name}"],
                stdout=subprocess.PIPE,
                text=True,
            )
            for name in "ab"
        ]
        for writer in writers:
            assert writer.stdout is not None
            acknowledged.append(writer.stdout.readline())
        time.sleep(0.02 + 0.03 * life)
        for writer in writers:
            writer.kill()
            assert writer.stdout is not None
            acknowledged += [line for line in writer.stdout if line.endswith("\n")]
            writer.stdout.close()
            writer.wait(10)
    journal = AuditJournal(path)
    assert journal.verify(expected_head=journal.head).ok
    written = [f"{r['writer']} {r['number']}\n" for r in records_of(path) if "writer" in r]
    assert len(written) == len(set(written))
    assert set(acknowledged) <= set(written)

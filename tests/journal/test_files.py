"""Files beside a journal appear whole, and are known by their hash."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from predator.domain.canonical import sha256_hex
from predator.domain.errors import InputError, IntegrityError
from predator.journal.files import outputs, promised, read_file, write_whole


def test_a_file_is_replaced_whole_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "b.json"
    write_whole(path, b"first")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            write_whole(path, b"second")
    assert path.read_bytes() == b"first"
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"


def test_outputs_are_named_with_their_hash(tmp_path: Path) -> None:
    write_whole(tmp_path / "a/b.json", b"{}")
    write_whole(tmp_path / "c.csv", b"")
    assert outputs(tmp_path, ["a/b.json", "c.csv"]) == [
        {"file": "a/b.json", "sha256": sha256_hex(b"{}")},
        {"file": "c.csv", "sha256": sha256_hex(b"")},
    ]
    with pytest.raises(InputError, match="is gone"):
        outputs(tmp_path, ["nothing.json"])


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "", ".", "a/../../outside", "nul\0", "folder", "pipe",
             "link", "missing", "x" * 300, "file/below"],
)  # fmt: skip
def test_only_plain_files_below_the_folder_are_read(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "cycle"
    (folder / "folder").mkdir(parents=True)
    (folder / "file").write_bytes(b"x")
    (tmp_path / "outside").write_bytes(b"x")
    (folder / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe")
    opened = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        with pytest.raises(IntegrityError):
            read_file(folder, name)
    assert len(list(Path("/proc/self/fd").iterdir())) < opened + 10, "files are left open"


def test_a_file_must_be_what_its_hash_says(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"x")
    assert read_file(tmp_path, "a", sha256_hex(b"x")) == b"x"
    with pytest.raises(IntegrityError, match="its hash differs"):
        read_file(tmp_path, "a", sha256_hex(b"y"))


def test_the_newest_promise_counts() -> None:
    records: list[dict[str, object]] = [
        {"type": "decision", "file": "decisions/001-gate.json", "sha256": "d"},
        {"type": "action", "action": {"outputs": [{"file": "a", "sha256": "1"}]}},
        {"type": "action", "action": {"files": {"a": "2", "b": "3"}}},
        {"type": "action", "action": {"outputs": ["not", "hashed"], "file": 7}},
        {"type": "policy"},
    ]
    assert promised(records) == {
        "decisions/001-gate.json": ("d", 1),
        "a": ("2", 3),
        "b": ("3", 3),
    }

"""A finished part is found again whole, by the work that made it."""

from __future__ import annotations

from pathlib import Path

from predator.learning.kept_files import KeptFiles

FILES = {"a.bin": b"\x00\x01", "b.json": b"{}"}


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path / "x" / "y", "me")
    assert kept.load() is None
    kept.save(FILES)
    assert KeptFiles(tmp_path / "x" / "y", "me").load() == FILES
    kept.save({"a.bin": b"2"})
    assert kept.load() == {"a.bin": b"2"}


def test_other_work_and_damage_find_nothing(tmp_path: Path) -> None:
    kept = KeptFiles(tmp_path, "me")
    kept.save(FILES)
    assert KeptFiles(tmp_path, "you").load() is None
    for name, data in (("a.bin", b"\x00"), ("files.json", b"["), ("files.json", b"[]")):
        kept.save(FILES)
        (tmp_path / name).write_bytes(data)
        assert kept.load() is None
    kept.save(FILES)
    (tmp_path / "b.json").unlink()
    assert kept.load() is None

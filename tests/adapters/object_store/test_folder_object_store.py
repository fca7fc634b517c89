"""Objects in a folder keep the contract, and no damaged byte of them is ever handed out."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from predator.adapters.object_store.folder import FolderObjectStore
from predator.domain.errors import IntegrityError
from predator.ports.object_store import ObjectStore
from tests.contracts.object_store import MAX_BYTES, ObjectStoreContract

DATA = np.random.default_rng(7).bytes(5_000)


class TestFolderObjectStore(ObjectStoreContract):
    def make(self, folder: Path) -> ObjectStore:
        return FolderObjectStore(folder / "objects", max_bytes=MAX_BYTES)


@pytest.fixture
def store(tmp_path: Path) -> FolderObjectStore:
    return FolderObjectStore(tmp_path / "objects", max_bytes=MAX_BYTES)


@pytest.fixture
def kept(store: FolderObjectStore) -> tuple[str, Path]:
    """A digest and its file, verified once and then made writable."""
    digest = store.put(DATA)
    path = store.path(digest)
    path.chmod(0o644)
    return digest, path


def refused(store: FolderObjectStore, digest: str) -> bool:
    for ask in (store.get, store.path):
        with pytest.raises(IntegrityError):
            ask(digest)
    return True


def test_the_file_lies_below_two_digits_of_its_name(
    store: FolderObjectStore, tmp_path: Path
) -> None:
    digest = store.put(DATA)
    assert store.path(digest) == tmp_path / "objects" / digest[:2] / digest[2:]
    assert store.path(digest).stat().st_mode & 0o222 == 0
    assert list((tmp_path / "objects" / "incoming").iterdir()) == []


def test_a_truncated_object_is_refused_at_every_offset(
    store: FolderObjectStore, kept: tuple[str, Path]
) -> None:
    digest, path = kept
    offsets = [len(DATA) * step // 64 for step in range(64)]
    for offset in offsets:
        path.write_bytes(DATA[:offset])
        assert refused(store, digest)
    path.write_bytes(DATA)
    assert store.get(digest) == DATA


def test_a_flipped_byte_is_refused_wherever_it_is(
    store: FolderObjectStore, kept: tuple[str, Path]
) -> None:
    digest, path = kept
    chance = np.random.default_rng(11)
    for _ in range(200):
        damaged = bytearray(DATA)
        damaged[int(chance.integers(len(DATA)))] ^= int(chance.integers(1, 256))
        before = path.stat()
        path.write_bytes(damaged)
        # Even with its time stamp put back: the change time cannot be.
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert refused(store, digest)


def test_a_change_is_noticed_after_the_file_was_trusted(
    store: FolderObjectStore, kept: tuple[str, Path]
) -> None:
    digest, path = kept
    old = time.time() - 60
    os.utime(path, (old, old))
    time.sleep(0.12)
    assert store.path(digest) == path
    with path.open("r+b") as file:
        file.write(b"tampered")
    os.utime(path, (old, old))
    assert refused(store, digest)


def test_a_trusted_path_is_cheap(store: FolderObjectStore) -> None:
    store = FolderObjectStore(store.path(store.put(b"")).parents[1], max_bytes=10**8)
    digest = store.put(b"x" * 20_000_000)
    time.sleep(0.12)
    store.path(digest)
    started = time.process_time()
    for _ in range(200):
        store.path(digest)
    assert (time.process_time() - started) / 200 < 0.002


def test_links_folders_and_pipes_are_refused(
    store: FolderObjectStore, kept: tuple[str, Path], tmp_path: Path
) -> None:
    digest, path = kept
    good = tmp_path / "good"
    path.rename(good)
    path.symlink_to(good)
    assert refused(store, digest)
    path.unlink()
    path.mkdir()
    assert refused(store, digest)
    path.rmdir()
    os.mkfifo(path)
    assert refused(store, digest)
    path.unlink()
    elsewhere = tmp_path / "elsewhere"
    path.parent.rename(elsewhere)
    good.rename(elsewhere / path.name)
    path.parent.symlink_to(elsewhere)
    assert refused(store, digest)
    with pytest.raises(IntegrityError, match="link"):
        store.put(DATA)


def test_putting_the_bytes_again_mends_a_damaged_object(
    store: FolderObjectStore, kept: tuple[str, Path], tmp_path: Path
) -> None:
    digest, path = kept
    path.write_bytes(DATA[:10])
    assert store.put(DATA) == digest
    assert store.get(digest) == DATA
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert store.put(DATA) == digest
    assert path.is_file()
    assert not path.is_symlink()


def test_a_file_above_the_limit_is_not_even_read(
    store: FolderObjectStore, kept: tuple[str, Path]
) -> None:
    digest, path = kept
    os.truncate(path, 10**12)
    assert refused(store, digest)


@pytest.mark.parametrize(("owner", "failing"), [(os, "fsync"), (os, "fchmod"), (Path, "replace")])
def test_a_failed_write_leaves_nothing(
    store: FolderObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: object,
    failing: str,
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(owner, failing, full)
        with pytest.raises(OSError, match="No space"):
            store.put(DATA)
    assert [file for file in (tmp_path / "objects").rglob("*") if file.is_file()] == []
    assert store.get(store.put(DATA)) == DATA


def test_what_a_killed_writer_left_is_swept_an_hour_later(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    FolderObjectStore(folder)
    old, fresh = folder / "incoming" / "old", folder / "incoming" / "fresh"
    for file in (old, fresh):
        file.write_bytes(b"half")
    os.utime(old, (1, 1))
    FolderObjectStore(folder)
    assert [file.name for file in (folder / "incoming").iterdir()] == ["fresh"]


WRITER = """
import sys
from pathlib import Path
from predator.adapters.object_store.folder import FolderObjectStore
store = FolderObjectStore(Path(sys.argv[1]))
number = 0
while True:
    print(store.put(b"%d" % number * 50_000), flush=True)
    number += 1
"""


def test_a_killed_writer_leaves_only_whole_objects(tmp_path: Path) -> None:
    folder = tmp_path / "objects"
    acknowledged: list[str] = []
    for wait_s in (0.0, 0.03, 0.08):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        acknowledged.append(writer.stdout.readline())
        time.sleep(wait_s)
        writer.kill()
        acknowledged += [line for line in writer.stdout if len(line) == 65]
        writer.stdout.close()
        writer.wait(10)
    store = FolderObjectStore(folder)
    assert len(acknowledged) >= 3
    for file in folder.glob("??/*"):
        store.get(file.parent.name + file.name)
    for line in acknowledged:
        store.get(line.strip())

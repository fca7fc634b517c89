from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.domain.errors import PredatorError
from predator.search.encoder.vector_cache import VectorCache, keep, vector_key

DIM = 16
HEADER, RECORD = 64, 4 + 32 + 4 * DIM
KEYS = [vector_key("encoder", str(i)) for i in range(40)]
VECTORS = np.random.default_rng(0).normal(size=(40, DIM)).astype(np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> VectorCache:
    cache = VectorCache(tmp_path, DIM)
    assert cache.put(KEYS, VECTORS) == 40
    return cache


def assert_true(cache: VectorCache) -> NDArray[np.bool_]:
    """Whatever is found is right, whatever is not found is zero."""
    found, vectors = cache.get(KEYS)
    np.testing.assert_array_equal(vectors[found], VECTORS[found])
    assert not vectors[~found].any()
    return found


def test_gives_back_the_very_bits(cache: VectorCache, tmp_path: Path) -> None:
    for same in (cache, VectorCache(tmp_path, DIM)):
        assert assert_true(same).all()
        assert len(same) == 40


def test_what_is_not_held_is_said_so(cache: VectorCache) -> None:
    found, vectors = cache.get([KEYS[3], vector_key("other encoder", "3"), KEYS[0], KEYS[3]])
    assert found.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(vectors[[0, 2, 3]], VECTORS[[3, 0, 3]])
    assert not vectors[1].any()
    assert cache.get([])[1].shape == (0, DIM)


def test_what_is_held_is_not_written_twice(cache: VectorCache) -> None:
    before = cache.path.stat().st_size
    assert cache.put(KEYS[:5], VECTORS[:5]) == 0
    assert cache.put([b"k" * 32, b"k" * 32], VECTORS[:2]) == 1
    assert cache.path.stat().st_size == before + RECORD


def test_what_others_write_is_seen(cache: VectorCache, tmp_path: Path) -> None:
    late = VectorCache(tmp_path / "new", DIM)
    VectorCache(tmp_path / "new", DIM).put(KEYS, VECTORS)
    assert assert_true(late).all()


def test_a_torn_file_loses_its_tail_only(cache: VectorCache, tmp_path: Path) -> None:
    data = cache.path.read_bytes()
    cuts = {0, 1, HEADER - 1, HEADER, HEADER + 1, len(data) - 1, len(data)}
    cuts |= set(np.random.default_rng(0).integers(0, len(data), 64).tolist())
    for number, cut in enumerate(sorted(cuts)):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / cache.path.name).write_bytes(data[:cut])
        torn = VectorCache(folder, DIM)
        whole = max(0, (cut - HEADER) // RECORD)
        assert assert_true(torn).tolist() == [i < whole for i in range(40)]
        torn.put(KEYS, VECTORS)
        assert assert_true(torn).all()
        assert assert_true(VectorCache(folder, DIM)).all()
        assert (folder / cache.path.name).stat().st_size == len(data)


def test_a_flipped_bit_never_gives_a_wrong_vector(cache: VectorCache, tmp_path: Path) -> None:
    data = cache.path.read_bytes()
    for place in np.random.default_rng(1).integers(HEADER, len(data), 200).tolist():
        broken = bytearray(data)
        broken[place] ^= 1 << (place % 8)
        cache.path.write_bytes(broken)
        again = VectorCache(tmp_path, DIM)
        assert assert_true(again).sum() == 39
        assert again.put(KEYS, VECTORS) == 1
        assert assert_true(again).all()
        assert assert_true(VectorCache(tmp_path, DIM)).all()


def test_a_file_that_is_no_cache_is_set_aside(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, DIM)
    cache.path.write_bytes(b"something else entirely" * 100)
    assert not assert_true(VectorCache(tmp_path, DIM)).any()
    assert VectorCache(tmp_path, DIM).put(KEYS, VECTORS) == 40
    assert assert_true(cache).all()
    assert cache.path.with_suffix(".damaged").exists()


def test_two_lengths_of_vector_live_side_by_side(cache: VectorCache, tmp_path: Path) -> None:
    wide = VectorCache(tmp_path, 2 * DIM)
    wide.put(KEYS, np.hstack([VECTORS, VECTORS]))
    assert assert_true(cache).all()
    assert wide.get(KEYS)[0].all()


def test_what_does_not_fit_is_refused(cache: VectorCache) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        cache.put([b"short"], VECTORS[:1])
    with pytest.raises(ValueError, match="vectors for 2 keys"):
        cache.put(KEYS[:2], VECTORS[:1])


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def write(start: int) -> None:
        mine = VectorCache(tmp_path, DIM)
        for i in range(start, 40, 4):
            mine.put(KEYS[i : i + 2], VECTORS[i : i + 2])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(write, range(4)))
    assert assert_true(VectorCache(tmp_path, DIM)).all()
    assert (tmp_path / f"vectors-{DIM}.bin").stat().st_size == HEADER + 40 * RECORD


def test_a_full_disk_costs_the_new_vectors_only(
    cache: VectorCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", full)
        with pytest.raises(PredatorError, match="No space left on device"):
            cache.put([b"k" * 32], VECTORS[:1])
        keep(cache, [b"l" * 32], VECTORS[:1])  # the result matters more than the cache
    assert assert_true(VectorCache(tmp_path, DIM)).all()
    assert VectorCache(tmp_path, DIM).put([b"m" * 32], VECTORS[:1]) == 1


WRITER = """
import sys, numpy as np
from pathlib import Path
from predator.search.encoder.vector_cache import VectorCache, vector_key
cache = VectorCache(Path(sys.argv[1]), 16)
for i in range(10**6):
    cache.put([vector_key("e", str(i))], np.full((1, 16), i, np.float32))
    print(i, flush=True)
"""


def test_a_killed_writer_loses_nothing_that_it_had_put(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 50:
            pass
        writer.kill()
        put = 50 + len(writer.stdout.read().splitlines())
    cache = VectorCache(tmp_path, DIM)
    found, vectors = cache.get([vector_key("e", str(i)) for i in range(put)])
    assert found.all()
    np.testing.assert_array_equal(vectors[:, 0], np.arange(put))


@pytest.mark.nightly
def test_a_hundred_thousand_vectors_open_in_a_third_of_a_second(tmp_path: Path) -> None:
    keys = [vector_key("e", str(i)) for i in range(100_000)]
    VectorCache(tmp_path, 384).put(keys, np.ones((100_000, 384), np.float32))
    took = []
    for _ in range(3):
        start = time.perf_counter()
        cache = VectorCache(tmp_path, 384)
        took.append(time.perf_counter() - start)
    assert len(cache) == 100_000
    assert min(took) < 0.3

"""What every object store must do; a back end's test names itself and inherits this."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.errors import InputError, IntegrityError
from predator.ports.object_store import ObjectStore

MAX_BYTES = 100_000

KNOWN = hashlib.sha256(b"known").hexdigest()
BAD_DIGESTS = [
    *["", "..", "../../etc/passwd", "/etc/passwd", "ab", "ab/cd", "." * 64, "/" * 64],
    *["g" * 64, "a" * 63, "a" * 65, KNOWN.upper(), f"{KNOWN}\n", f" {KNOWN}"[:64], f"{KNOWN}/"],
    *[f"{KNOWN[:2]}/{KNOWN[2:]}"[:64], "../" * 21 + "a", "a" * 62 + "\0b", "\u0661" * 64, "٣" * 64],
]


class ObjectStoreContract:
    def make(self, folder: Path) -> ObjectStore:
        """A fresh, empty back end that keeps objects of at most :data:`MAX_BYTES`."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return self.make(tmp_path)

    def test_any_bytes_come_back_by_their_sha256(self, store: ObjectStore) -> None:
        @settings(max_examples=50, deadline=None)
        @given(data=st.binary(max_size=1_000))
        def come_back(data: bytes) -> None:
            digest = store.put(data)
            assert digest == hashlib.sha256(data).hexdigest()
            assert store.get(digest) == data
            assert store.path(digest).read_bytes() == data
            assert store.put(data) == digest

        come_back()

    def test_a_path_stays_the_same(self, store: ObjectStore) -> None:
        digest = store.put(b"x")
        assert store.path(digest) == store.path(digest)
        assert store.path(digest).is_file()

    def test_a_missing_object_is_refused(self, store: ObjectStore) -> None:
        for ask in (store.get, store.path):
            with pytest.raises(IntegrityError, match="missing"):
                ask("0" * 64)

    @pytest.mark.parametrize("digest", BAD_DIGESTS, ids=ascii)
    def test_what_is_no_digest_is_refused(self, store: ObjectStore, digest: str) -> None:
        store.put(b"known")
        for ask in (store.get, store.path):
            with pytest.raises(IntegrityError, match="not a sha256 digest"):
                ask(digest)

    def test_size_is_bounded(self, store: ObjectStore) -> None:
        assert len(store.get(store.put(b"x" * MAX_BYTES))) == MAX_BYTES
        with pytest.raises(InputError, match="limit"):
            store.put(b"x" * (MAX_BYTES + 1))

    def test_the_same_bytes_from_many_threads_are_one_object(self, store: ObjectStore) -> None:
        def put_and_get(number: int) -> str:
            digest = store.put(b"%d" % (number % 4))
            assert store.path(digest).read_bytes() == store.get(digest)
            return digest

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(put_and_get, range(400)))) == 4

    def test_a_changed_file_is_noticed(self, store: ObjectStore) -> None:
        digest = store.put(b"original")
        path = store.path(digest)
        path.chmod(0o644)
        path.write_bytes(b"tampered")
        with pytest.raises(IntegrityError):
            store.path(digest)

"""Objects in memory keep the contract."""

from __future__ import annotations

import gc
from pathlib import Path

from predator.adapters.object_store.memory import MemoryObjectStore
from predator.ports.object_store import ObjectStore
from tests.contracts.object_store import MAX_BYTES, ObjectStoreContract


class TestMemoryObjectStore(ObjectStoreContract):
    def make(self, folder: Path) -> ObjectStore:
        return MemoryObjectStore(max_bytes=MAX_BYTES)


def test_its_files_vanish_with_it() -> None:
    store = MemoryObjectStore()
    path = store.path(store.put(b"x"))
    assert path.exists()
    del store
    gc.collect()
    assert not path.parent.exists()

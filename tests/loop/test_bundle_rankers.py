"""A release is whole only with the cross-encoder that its reranker reads."""

from __future__ import annotations

import pytest

from predator.adapters.object_store.memory import MemoryObjectStore
from predator.domain.canonical import canonical_json
from predator.domain.release import Release, RetrievalParameters
from predator.loop.release.bundle import verify_bundle
from predator.search.cross_encoder_files import keep_cross_encoder
from predator.search.rankers import Named
from predator.search.rerank import dump_blend, dump_reranker
from tests.search.pair_models import exported


def faults(held: list[bytes], reranker: bytes) -> list[str]:
    """What is missing of a release with ``reranker``, but for its encoder."""
    objects = MemoryObjectStore()
    for data in (*held, reranker, b"rules"):
        objects.put(data)
    release = Release(
        "0" * 64, "schema", objects.put(b"rules"), RetrievalParameters(), objects.put(reranker)
    )
    digest = objects.put(canonical_json(release.to_json()))
    return [fault for fault in verify_bundle(objects, digest) if not fault.startswith("encoder")]


FILES = list(exported().files.values())
NAMED = Named("cross_encoder", exported().manifest.digest, 10, 100.0)


@pytest.mark.parametrize("data", [dump_blend(NAMED, 0.5), dump_reranker("trees", 0.0, [NAMED])])
def test_every_file_of_the_cross_encoder_is_looked_for(data: bytes) -> None:
    assert faults(FILES, data) == []
    for place, part in enumerate(("cross-encoder", "cross-encoder model", "cross-encoder token")):
        missing = FILES[:place] + FILES[place + 1 :]
        (fault,) = faults(missing, data)
        assert fault.startswith(part)


def test_a_reranker_without_other_rankers_is_whole_alone() -> None:
    assert faults([], dump_reranker("trees", 0.0)) == []


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"format": "predator-blend/1", "rankers": 5}'])
def test_a_reranker_that_cannot_be_read_is_a_fault(data: bytes) -> None:
    (fault,) = faults(FILES, data)
    assert fault.startswith("reranker")


def test_a_digest_of_something_else_is_a_fault() -> None:
    model = exported().manifest.model.sha256
    (fault,) = faults(FILES, dump_blend(Named("cross_encoder", model, 10, 100.0), 0.5))
    assert fault.startswith("cross-encoder")


def test_the_files_come_from_one_export() -> None:
    objects = MemoryObjectStore()
    assert keep_cross_encoder(objects.put, exported().files) == NAMED.digest

"""A release of any encoder can be tried beside the platform, with its own vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.adapters.object_store.memory import MemoryObjectStore
from predator.domain.errors import InputError, IntegrityError
from predator.domain.release import Release, RetrievalParameters
from predator.loop.replica import EncodeAll, Replica, keep_release
from predator.ports.encoder import Encoder
from predator.search.analyze import SCHEMA
from tests.search.fakes import HashedEncoder, documents

DOCS = documents(30)
QUERY = DOCS[3].text


class Narrow(HashedEncoder):
    """The first ``dim`` numbers of the hashed encoder's vectors, under a digest of its own."""

    def __init__(self, dim: int) -> None:
        self.dim, self.digest = dim, f"{dim:064x}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self.encode_query(text) for text in texts])

    def encode_query(self, text: str) -> NDArray[np.float32]:
        vector = super().encode_query(text)[: self.dim]
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit


class Others:
    """Encoders by digest, and how often each was asked for vectors."""

    def __init__(self) -> None:
        self.encoded: list[int] = []

    def __call__(self, digest: str) -> tuple[Encoder, EncodeAll]:
        if int(digest, 16) > 48:
            raise IntegrityError(f"there is no encoder {digest[:12]}")
        encoder = Narrow(int(digest, 16))

        def encode_all(texts: Sequence[str]) -> NDArray[np.float32]:
            self.encoded.append(encoder.dim)
            return encoder.encode(texts)

        return encoder, encode_all


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def replica(others: Others) -> Replica:
    hashed = HashedEncoder()
    return Replica.of(DOCS, hashed, hashed.encode, MemoryObjectStore(), others)


def release(encoder: str) -> Release:
    return Release(encoder, SCHEMA, "1" * 64, RetrievalParameters(fusion="dense"))


def best(replica: Replica, digest: str) -> list[str]:
    engine = replica.engine(keep_release(replica.objects, release(digest)))
    return [DOCS[row].id for row in engine.rank(QUERY, 10).rows.tolist()]


def test_a_release_of_another_encoder_ranks_by_that_encoders_vectors(replica: Replica) -> None:
    narrow = Narrow(8)
    cosines = narrow.encode([f"{d.title}. {d.text}" for d in DOCS]) @ narrow.encode_query(QUERY)
    wanted = [DOCS[i].id for i in np.argsort(-cosines, kind="stable")[:10]]
    assert best(replica, narrow.digest) == wanted
    assert best(replica, HashedEncoder.digest) != wanted


def test_what_learns_from_an_engine_reads_the_vectors_that_it_serves_with(
    replica: Replica,
) -> None:
    engine = replica.engine(release(Narrow(8).digest))
    assert engine.index.vectors.dimension == 8
    assert len(engine.index.vectors) == len(DOCS)
    assert replica.index.vectors.dimension == HashedEncoder.dim
    index, encoder = replica.seen_by(Narrow(8).digest)
    assert index.vectors is engine.index.vectors
    assert encoder.dim == 8


def test_no_more_than_two_encoders_vectors_are_held(replica: Replica, others: Others) -> None:
    first = replica.engine(release(Narrow(8).digest))
    before = first.rank(QUERY, 10).rows.tolist()
    replica.engine(release(Narrow(8).digest))
    assert others.encoded == [8]
    replica.engine(release(Narrow(12).digest))
    assert set(replica.index.spaces) == {HashedEncoder.digest, Narrow(12).digest}
    assert first.rank(QUERY, 10).rows.tolist() == before  # who still holds one may go on
    replica.engine(release(Narrow(8).digest))
    assert others.encoded == [8, 12, 8]


def test_an_encoder_that_cannot_be_had_is_an_error_not_another_ones_order(
    replica: Replica,
) -> None:
    with pytest.raises(IntegrityError, match="there is no encoder"):
        replica.engine(release("f" * 64))
    alone = Replica.of(DOCS, HashedEncoder(), HashedEncoder().encode, replica.objects)
    with pytest.raises(InputError, match="is not the one that this replica was made with"):
        alone.engine(release(Narrow(8).digest))

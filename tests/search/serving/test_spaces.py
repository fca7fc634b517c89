"""Another encoder: its vectors are made behind the live release, and come and go with it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.errors import PredatorError
from predator.search.analyze import terms
from predator.search.desired import Holdback, RunningExperiment
from predator.search.index import Index
from predator.search.serving import spaces
from predator.search.serving.agent import wait_until
from predator.search.serving.platform import OnVectors, Platform
from predator.search.serving.schemas import NewDocument, SearchRequest
from predator.search.serving.spaces import Dense, VectorSource
from tests.adapters.platform.platforms import Place
from tests.search.fakes import HashedEncoder, documents

OTHER = "e" * 64
SOON_S = 60.0


class OtherEncoder:
    """Vectors of another length, in other directions."""

    digest = OTHER
    dim = 16

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.stack([self.encode_query(text) for text in texts])

    def encode_query(self, text: str) -> NDArray[np.float32]:
        vector = np.full(self.dim, 1e-3, np.float32)
        for term in terms(text):
            vector[sum(term.encode()) % self.dim] += 1
        unit: NDArray[np.float32] = vector / np.linalg.norm(vector)
        return unit


@dataclass
class ByHand:
    """An encoder's process whose work a test lets out piece by piece."""

    on_vectors: OnVectors
    waiting: list[tuple[int, str]] = field(default_factory=list)
    failed: int = 0
    closed: bool = False

    @property
    def backlog(self) -> int:
        return len(self.waiting)

    def submit(self, keys: Sequence[int], texts: Sequence[str]) -> None:
        self.waiting.extend(zip(keys, texts, strict=True))

    def give(self, count: int = 10**9) -> None:
        """Hand over the next ``count`` vectors, and those that were queued on that account."""
        while count > 0 and self.waiting:
            part = self.waiting[:count]
            self.on_vectors([row for row, _ in part], OtherEncoder().encode([t for _, t in part]))
            del self.waiting[: len(part)]
            count -= len(part)

    def fail(self, count: int = 10**9) -> None:
        """Give up on the next ``count``."""
        self.failed += len(self.waiting[:count])
        del self.waiting[:count]

    def close(self) -> None:
        self.closed = True


@dataclass
class World:
    """A running platform of the hashed encoder, and a release of another."""

    place: Place
    sources: list[ByHand] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.old = self.place.release().digest
        self.new = self.place.release(encoder=OTHER, fusion="dense").digest
        self.platform = self.start()

    def start(self) -> Platform:
        self.place.commit("v1", self.old) if self.place.gitops.head() is None else None
        platform = self.place.platform(self.dense_of)
        platform.start()
        return platform

    def dense_of(self, digest: str) -> Dense:
        if digest != OTHER:
            raise PredatorError(f"encoder {digest[:12]} cannot be had")

        def background(on_vectors: OnVectors) -> VectorSource:
            self.sources.append(ByHand(on_vectors))
            return self.sources[-1]

        return Dense(OtherEncoder(), background)

    @property
    def source(self) -> ByHand:
        """What embeds with the other encoder, once something does."""
        assert wait_until(lambda: bool(self.sources), SOON_S)
        return self.sources[-1]

    def send(self, docs: Sequence[Document]) -> None:
        self.platform.accept_documents(
            [NewDocument(id=d.id, title=d.title, text=d.text) for d in docs]
        )
        assert wait_until(lambda: self.platform.readiness().etl_pending == 0, SOON_S)

    def experiment(self, share: float = 0.5) -> str:
        return self.place.desired.set_experiment(
            RunningExperiment("exp", "ranking", self.new, share), "Start", {"Step": "x"}
        )

    def applied(self, revision: str) -> bool:
        return wait_until(lambda: self.platform.readiness().revision == revision, SOON_S)

    def answered_by(self, searches: int = 40) -> set[str]:
        requests = [
            SearchRequest.model_validate({"query": "matrix", "user_id": f"u{i}"})
            for i in range(searches)
        ]
        return {self.platform.search(request).release for request in requests}

    def live(self, digest: str, held: str | None = None) -> str:
        holdback = Holdback("watch", held, 0.5) if held else None
        return self.place.commit(f"v{time.monotonic_ns()}", digest, holdback)

    def vectors_of(self, encoder: str) -> set[str]:
        """The documents that can be found by meaning under ``encoder``."""
        index = self.platform.index
        rows = index.live_rows()
        here = rows[index.spaces[encoder].has(rows)]
        return {index.documents[row].id for row in here.tolist()}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(Place(tmp_path))
    yield world
    world.platform.close()


def test_another_encoder_takes_traffic_only_once_every_document_has_its_vector(
    world: World,
) -> None:
    docs = documents(40)
    world.send(docs)
    revision = world.experiment()
    world.source.give(39)
    assert not wait_until(lambda: world.platform.readiness().revision == revision, 0.6)
    state = world.platform.readiness()
    assert (state.ready, state.healthy) == (True, True)
    assert "39 of 40 documents" in state.detail
    [waited_for] = state.preparing
    assert (waited_for.encoder, waited_for.documents, waited_for.total) == (OTHER, 39, 40)
    assert world.answered_by() == {world.old}
    world.source.give()
    assert world.applied(revision)
    assert world.platform.readiness().detail == ""
    assert world.answered_by() == {world.old, world.new}
    assert world.vectors_of(OTHER) == world.vectors_of(HashedEncoder.digest)


def test_how_far_it_is_can_be_read_from_the_metrics(world: World) -> None:
    world.send(documents(40))
    revision = world.experiment()
    world.source.give(10)
    assert wait_until(lambda: bool(world.platform.readiness().preparing), SOON_S)
    scraped = world.platform.expose_metrics().decode()
    assert f'predator_vector_space_documents{{encoder="{OTHER}"}} 10.0' in scraped
    assert f'predator_vector_space_complete{{encoder="{OTHER}"}} 0.0' in scraped
    [eta] = re.findall(rf'predator_vector_space_eta_seconds{{encoder="{OTHER}"}} (\S+)', scraped)
    assert float(eta) > 0
    world.source.give()
    assert world.applied(revision)
    scraped = world.platform.expose_metrics().decode()
    assert f'predator_vector_space_complete{{encoder="{OTHER}"}} 1.0' in scraped


def test_documents_that_come_or_change_meanwhile_are_found_by_both_encoders(world: World) -> None:
    docs = documents(60)
    world.send(docs[:40])
    revision = world.experiment()
    world.source.give(5)
    changed = [Document(d.id, d.title, f"{d.text} again") for d in docs[:10]]
    world.send([*docs[40:], *changed])
    world.source.give()
    assert world.applied(revision)
    world.send([Document("late", "late", "matrix norm")])
    world.source.give()
    everything = {d.id for d in docs} | {"late"}
    assert world.vectors_of(HashedEncoder.digest) == everything
    assert world.vectors_of(OTHER) == everything


def test_a_rollback_to_the_old_encoder_finds_what_came_since_and_takes_no_time(
    world: World,
) -> None:
    world.send(documents(40))
    revision = world.live(world.new, held=world.old)
    world.source.give()
    assert world.applied(revision)
    world.send([Document("late", "late", "matrix norm")])
    world.source.give()
    world.platform.flip(world.old)
    assert world.answered_by() == {world.old}
    assert "late" in world.vectors_of(HashedEncoder.digest)
    assert world.applied(world.live(world.old))
    world.platform.flip(world.new)  # the release before stays hot, with its vectors
    assert world.answered_by() == {world.new}


def test_vectors_that_no_release_needs_are_let_go(world: World) -> None:
    world.send(documents(20))
    revision = world.experiment()
    world.source.give()
    assert world.applied(revision)
    ended = world.place.desired.set_experiment(None, "End", {"Step": "y"})
    assert world.applied(ended)
    assert wait_until(lambda: set(world.platform.index.spaces) == {HashedEncoder.digest}, SOON_S)
    assert world.source.closed
    with pytest.raises(PredatorError, match="not loaded"):
        world.platform.flip(world.new)
    again = world.experiment()
    assert wait_until(lambda: len(world.sources) == 2, SOON_S)
    world.source.give()
    assert world.applied(again)
    assert world.answered_by() == {world.old, world.new}


def test_the_encoder_that_it_was_founded_with_is_let_go_too(world: World) -> None:
    world.send(documents(20))
    revision = world.live(world.new)
    world.source.give()
    assert world.applied(revision)
    newer = world.place.release(encoder=OTHER, fusion="zsum").digest
    assert world.applied(world.live(newer))
    assert wait_until(lambda: set(world.platform.index.spaces) == {OTHER}, SOON_S)
    assert world.answered_by() == {newer}
    assert world.applied(world.live(world.old))  # made again, by the founding encoder
    assert world.answered_by() == {world.old}
    assert len(world.vectors_of(HashedEncoder.digest)) == 20


def test_an_encoder_that_gives_no_vectors_never_takes_traffic(world: World) -> None:
    world.send(documents(20))
    world.experiment()
    world.source.give(19)
    world.source.fail()
    assert wait_until(lambda: not world.platform.readiness().healthy, SOON_S)
    assert "gives no vector for 1 of 20 documents" in world.platform.readiness().detail
    assert world.answered_by() == {world.old}
    assert wait_until(lambda: OTHER not in world.platform.index.spaces, SOON_S)
    repaired = world.place.desired.set_experiment(None, "End", {"Step": "y"})
    assert world.applied(repaired)
    assert world.platform.readiness().healthy


def test_an_encoder_that_cannot_be_had_changes_nothing_and_says_why(world: World) -> None:
    world.send(documents(5))
    lost = world.place.release(encoder="a" * 64).digest
    world.live(lost)
    assert wait_until(lambda: not world.platform.readiness().healthy, SOON_S)
    assert "encoder aaaaaaaaaaaa cannot be had" in world.platform.readiness().detail
    assert world.answered_by() == {world.old}


def test_a_rollback_does_not_wait_for_the_vectors_of_an_experiment(world: World) -> None:
    world.send(documents(20))
    second = world.place.release(fusion="bm25").digest
    bad = world.live(second)
    assert world.applied(bad)
    world.experiment()
    world.source.give(1)
    world.place.desired.restore(bad, "Back", {"Step": "z"})
    assert wait_until(lambda: world.answered_by() == {world.old}, SOON_S)
    assert world.platform.readiness().preparing


def test_after_a_restart_the_live_release_answers_before_an_experiments_vectors_are_there(
    world: World,
) -> None:
    world.send(documents(20))
    revision = world.experiment()
    world.source.give()
    assert world.applied(revision)
    world.platform.close()
    world.platform = world.start()
    assert len(world.sources) == 2
    assert world.answered_by() == {world.old}
    assert world.platform.readiness().revision != revision
    world.source.give()
    assert world.applied(revision)
    assert world.answered_by() == {world.old, world.new}


def test_after_a_restart_a_release_of_another_encoder_answers_at_once(world: World) -> None:
    world.send(documents(20))
    revision = world.live(world.new)
    world.source.give()
    assert world.applied(revision)
    world.platform.close()
    world.platform = world.start()
    state = world.platform.readiness()
    assert (state.ready, state.revision, state.vector_backlog) == (True, revision, 20)
    assert world.answered_by() == {world.new}
    world.source.give()
    assert world.platform.readiness().vector_backlog == 0
    assert len(world.vectors_of(OTHER)) == 20


def test_new_documents_do_not_wait_behind_all_that_are_embedded_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spaces, "AHEAD", 16)
    monkeypatch.setattr(spaces, "STEP", 8)
    world.send(documents(200))
    revision = world.experiment()
    assert world.source.backlog <= 16
    world.send([Document("late", "late", "matrix norm")])
    world.source.give(17)
    assert "late" in world.vectors_of(OTHER)

    def served() -> bool:
        world.source.give()
        return world.platform.readiness().revision == revision

    assert wait_until(served, SOON_S)
    assert len(world.vectors_of(OTHER)) == 201


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "old", "new"]), st.integers(0, 7)),
        max_size=40,
    )
)
def test_no_space_ever_finds_a_document_that_was_replaced(ops: list[tuple[str, int]]) -> None:
    """Documents come again and vectors come late, in whatever order: what a space finds is live."""
    index = Index(4, "old")
    index.open_space("new", 6)
    views = {name: index.seen_by(name) for name in ("old", "new")}
    rows: list[int] = []
    for what, number in ops:
        if what == "add":
            rows += index.add([Document(f"d{number}", "", "word")])
        elif rows:
            row = rows[number % len(rows)]
            view = views[what]
            vector = np.eye(view.vectors.dimension, dtype=np.float32)[:1]
            view.set_vectors([row], vector)
    live = set(index.live_rows().tolist())
    for view in views.values():
        query = np.eye(view.vectors.dimension, dtype=np.float32)[0]
        found, _ = view.vectors.search(query, 100)
        assert set(found.tolist()) <= live
        assert len(view.vectors) == len(found)

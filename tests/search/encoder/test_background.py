from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.search.encoder import background
from predator.search.encoder.background import BackgroundEncoder
from predator.search.encoder.files import EncoderFiles
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.encoder.process import EncoderProcess, WorkerDiedError
from predator.search.encoder.vector_cache import VectorCache

TEXTS = [f"read table {i}" for i in range(50)]
Floats = NDArray[np.float32]


class Received:
    """Vectors by key, as a serving index would take them."""

    def __init__(self) -> None:
        self.vectors: dict[int, Floats] = {}
        self.threads: set[str] = set()

    def __call__(self, keys: Sequence[int], vectors: Floats) -> None:
        self.threads.add(threading.current_thread().name)
        assert vectors.shape == (len(keys), 32)
        self.vectors.update(zip(keys, vectors, strict=True))


class FakeProcess:
    """Dies of poison; otherwise as quick as can be."""

    started = 0

    def __init__(self, files: EncoderFiles, *, nice: int) -> None:
        type(self).started += 1

    def encode(self, texts: Sequence[str]) -> Floats:
        if "poison" in texts:
            raise WorkerDiedError("the encoder process ended with code -9")
        return np.ones((len(texts), 32), np.float32)

    def kill(self) -> None: ...

    def close(self) -> None: ...


Start = Callable[..., BackgroundEncoder]


@pytest.fixture
def start(tiny: EncoderFiles) -> Iterator[Start]:
    started: list[BackgroundEncoder] = []

    def make(on_vectors: Any, cache: VectorCache | None = None) -> BackgroundEncoder:
        started.append(BackgroundEncoder(tiny, on_vectors, cache))
        return started[-1]

    yield make
    for encoder in started:
        encoder.close()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeProcess, "started", 0)
    monkeypatch.setattr(background, "EncoderProcess", FakeProcess)


def test_every_text_gets_its_vector(start: Start, tiny: EncoderFiles, tmp_path: Path) -> None:
    received = Received()
    encoder = start(received, VectorCache(tmp_path, 32))
    encoder.submit(range(30), TEXTS[:30])
    encoder.submit(range(30, 50), TEXTS[30:])
    assert encoder.wait(20)
    assert (encoder.backlog, encoder.failed) == (0, 0)
    wanted = OnnxEncoder(tiny).encode(TEXTS)
    np.testing.assert_array_equal(np.array([received.vectors[i] for i in range(50)]), wanted)
    assert received.threads == {"encoder"}


def test_it_yields_to_the_service(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    niceness: list[int] = []

    class Watched(EncoderProcess):
        def encode(self, texts: Sequence[str]) -> Floats:
            vectors = super().encode(texts)
            niceness.append(os.getpriority(os.PRIO_PROCESS, self.pid))
            return vectors

    monkeypatch.setattr(background, "EncoderProcess", Watched)
    encoder = start(Received())
    encoder.submit([1], ["read"])
    assert encoder.wait(20)
    assert niceness == [min(19, os.getpriority(os.PRIO_PROCESS, 0) + 10)]


def test_what_is_kept_comes_without_a_process(
    start: Start, tiny: EncoderFiles, tmp_path: Path, fake: None
) -> None:
    first, second = Received(), Received()
    encoder = start(first, VectorCache(tmp_path, 32))
    encoder.submit(range(50), TEXTS)
    assert encoder.wait(5)
    assert FakeProcess.started == 1
    encoder = start(second, VectorCache(tmp_path, 32))
    encoder.submit(range(100, 150), TEXTS)
    assert encoder.wait(5)
    assert FakeProcess.started == 1
    assert sorted(second.vectors) == list(range(100, 150))


def test_poison_costs_one_vector(start: Start, fake: None) -> None:
    received = Received()
    encoder = start(received)
    encoder.submit(range(50), [*TEXTS[:20], "poison", *TEXTS[21:]])
    assert encoder.wait(5)
    assert encoder.failed == 1
    assert sorted(received.vectors) == [i for i in range(50) if i != 20]


def test_a_killed_process_is_started_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    class Watched(EncoderProcess):
        def __init__(self, files: EncoderFiles, *, nice: int) -> None:
            super().__init__(files, nice=nice)
            pids.append(self.pid)

    monkeypatch.setattr(background, "EncoderProcess", Watched)
    received = Received()
    encoder = start(received)
    encoder.submit([1], ["read"])
    assert encoder.wait(20)
    os.kill(pids[0], 9)
    encoder.submit([2], ["table"])
    assert encoder.wait(20)
    assert sorted(received.vectors) == [1, 2]
    assert len(pids) == 2


def test_a_callback_that_fails_stops_nothing(start: Start, fake: None) -> None:
    received = Received()

    def on_vectors(keys: Sequence[int], vectors: Floats) -> None:
        if 0 in keys:
            raise RuntimeError("index is read-only")
        received(keys, vectors)

    encoder = start(on_vectors)
    encoder.submit(range(50), TEXTS)
    assert encoder.wait(5)
    assert encoder.failed == background.CHUNK
    assert sorted(received.vectors) == list(range(background.CHUNK, 50))


def test_closing_drops_what_waits_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = threading.Event()

    class Slow(FakeProcess):
        killed = threading.Event()

        def encode(self, texts: Sequence[str]) -> Floats:
            busy.set()
            assert self.killed.wait(10)
            raise WorkerDiedError("killed")

        def kill(self) -> None:
            self.killed.set()

    monkeypatch.setattr(background, "EncoderProcess", Slow)
    received = Received()
    encoder = start(received)
    encoder.submit(range(50), TEXTS)
    assert encoder.backlog == 50
    assert busy.wait(5)
    began = time.monotonic()
    encoder.close()
    encoder.close()
    assert time.monotonic() - began < 30
    encoder.submit([1], ["read"])
    assert (encoder.backlog, encoder.failed, received.vectors) == (0, 0, {})


def test_keys_and_texts_go_together(start: Start) -> None:
    with pytest.raises(ValueError, match="shorter"):
        start(Received()).submit([1, 2], ["read"])

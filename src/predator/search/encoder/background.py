"""Vectors behind a running service: one process of low priority, results by callback."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import PredatorError
from predator.search.encoder.files import EncoderFiles
from predator.search.encoder.process import EncoderProcess, WorkerDiedError
from predator.search.encoder.vector_cache import VectorCache, keep, vector_key

Floats = NDArray[np.float32]
OnVectors = Callable[[Sequence[int], Floats], None]

LOOK_UP = 256
"""Texts looked up in the cache at once."""
CHUNK = 16
"""Texts encoded at once: some 0.1 s of work."""

log = logging.getLogger(__name__)


class BackgroundEncoder:
    """Encodes what is submitted, in order, and hands it over as it gets ready.

    ``on_vectors(keys, vectors [n, dim])`` is called from one thread of ours; ``keys`` are the
    caller's own numbers. What ``cache`` holds is handed over without encoding. A text that kills
    its process twice gets no vector and counts in ``failed``. The process starts with the first
    text that the cache lacks, and ends with ours, however ours ends.
    """

    def __init__(
        self,
        files: EncoderFiles,
        on_vectors: OnVectors,
        cache: VectorCache | None = None,
        *,
        nice: int = 10,
    ) -> None:
        self._files, self._on_vectors, self._cache, self._nice = files, on_vectors, cache, nice
        self._waiting: deque[tuple[int, str]] = deque()
        self._backlog = 0
        self._failed = 0
        self._closed = False
        self._changed = threading.Condition()
        self._process: EncoderProcess | None = None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Texts submitted and not handed over yet."""
        return self._backlog

    @property
    def failed(self) -> int:
        """Texts that got no vector."""
        return self._failed

    def submit(self, keys: Sequence[int], texts: Sequence[str]) -> None:
        """Queue ``texts``; returns at once. Nothing is taken any more after :meth:`close`."""
        pairs = list(zip(keys, texts, strict=True))
        with self._changed:
            if not self._closed:
                self._waiting.extend(pairs)
                self._backlog += len(pairs)
                self._changed.notify_all()

    def wait(self, timeout_s: float) -> bool:
        """Wait until nothing is left to do; whether that came about in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._backlog == 0 or self._closed, timeout_s)

    def close(self) -> None:
        """Drop what waits and end the process; idempotent. What was encoded is in the cache."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._backlog = 0
            if self._process is not None:
                self._process.kill()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            while batch := self._take():
                try:
                    self._look_up(batch)
                except Exception:
                    log.exception("the encoder gave up on a batch")
        finally:
            self._end_process()

    def _take(self) -> list[tuple[int, str]]:
        """The next texts; none once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return [self._waiting.popleft() for _ in range(min(LOOK_UP, len(self._waiting)))]

    def _look_up(self, batch: list[tuple[int, str]]) -> None:
        missing = batch
        if self._cache is not None:
            found, vectors = self._cache.get(
                [vector_key(self._files.digest, text) for _, text in batch]
            )
            held = [key for (key, _), here in zip(batch, found, strict=True) if here]
            missing = [pair for pair, here in zip(batch, found, strict=True) if not here]
            self._hand_over(held, vectors[found])
        for start in range(0, len(missing), CHUNK):
            self._encode(missing[start : start + CHUNK])

    def _encode(self, chunk: list[tuple[int, str]]) -> None:
        texts = [text for _, text in chunk]
        try:
            vectors = self._retrying(texts)
        except PredatorError as error:
            if self._closed:
                return
            if len(chunk) > 1 and isinstance(error, WorkerDiedError):
                for pair in chunk:  # one of them is poison, the others are not
                    self._encode([pair])
                return
            log.error("no vectors for %d texts: %s", len(chunk), error)
            self._done(len(chunk), failed=True)
            return
        keep(self._cache, [vector_key(self._files.digest, text) for text in texts], vectors)
        self._hand_over([key for key, _ in chunk], vectors)

    def _retrying(self, texts: Sequence[str]) -> Floats:
        try:
            return self._running().encode(texts)
        except WorkerDiedError:
            self._end_process()
            return self._running().encode(texts)

    def _hand_over(self, keys: Sequence[int], vectors: Floats) -> None:
        if not keys or self._closed:
            return
        try:
            self._on_vectors(keys, vectors)
        except Exception:
            log.exception("vectors could not be handed over")
            self._done(len(keys), failed=True)
        else:
            self._done(len(keys))

    def _done(self, count: int, *, failed: bool = False) -> None:
        with self._changed:
            if not self._closed:
                self._backlog -= count
            self._failed += count if failed else 0
            self._changed.notify_all()

    def _running(self) -> EncoderProcess:
        with self._changed:
            if self._closed:
                raise WorkerDiedError("the encoder is closed")
            if self._process is None:
                self._process = EncoderProcess(self._files, nice=self._nice)
            return self._process

    def _end_process(self) -> None:
        with self._changed:
            process, self._process = self._process, None
        if process is not None:
            process.close()

"""The way in: accepted documents wait in a durable queue, are processed and indexed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from predator.domain.documents import Document
from predator.domain.errors import PredatorError
from predator.search.index import Index
from predator.search.processor import Processor
from predator.search.serving.instruments import Instruments
from predator.search.serving.spaces import Spaces, embedding_text
from predator.search.serving.store import Store

__all__ = ["Ingest", "embedding_text"]

BATCH = 64
"""Documents indexed at a time: small, so that searches in between stay quick."""


class Ingest:
    """One thread that takes documents from the queue to the index; vectors follow behind."""

    def __init__(
        self,
        store: Store,
        index: Index,
        processor: Processor,
        spaces: Spaces,
        instruments: Instruments,
    ) -> None:
        self._store, self._index, self._processor = store, index, processor
        self._spaces, self._instruments = spaces, instruments
        self._queue: queue.Queue[tuple[float, list[Document]] | None] = queue.Queue()
        self._oldest: float | None = None
        self._pending = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)

    def start(self) -> None:
        """Index what earlier runs had indexed, then what they had only accepted."""
        indexed = list(self._store.documents("indexed"))
        for start in range(0, len(indexed), 1000):
            self._index_batch(indexed[start : start + 1000])
        queued = list(self._store.documents("queued"))
        if queued:
            self._enqueue(queued)
        self._thread.start()

    def accept(self, documents: Sequence[Document]) -> None:
        """Queue documents durably; at return a crash no longer loses them."""
        self._store.put_documents(documents, "queued", time.time()).result(timeout=30)
        self._enqueue(list(documents))

    @property
    def pending(self) -> int:
        """Documents accepted and not indexed yet."""
        return self._pending

    @property
    def backlog_s(self) -> float:
        """Age of the oldest document not indexed yet, 0 where none waits."""
        oldest = self._oldest
        return 0.0 if oldest is None else max(0.0, time.time() - oldest)

    def close(self) -> None:
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _enqueue(self, documents: list[Document]) -> None:
        now = time.time()
        with self._lock:
            self._pending += len(documents)
            self._oldest = self._oldest or now
        for start in range(0, len(documents), BATCH):
            self._queue.put((now, documents[start : start + BATCH]))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            arrived, documents = item
            self._oldest = arrived
            try:
                written = self._process(documents)
            except Exception as error:
                self._instruments.index_errors.inc()
                fingerprint = f"index failed: {type(error).__name__}"
                self._store.log(time.time(), "index", "error", fingerprint, str(error))
                written = Future()
                written.set_result(None)
            # Not pending any more once the records say so too: whoever waits then reads them.
            written.add_done_callback(partial(self._finished, len(documents)))
            time.sleep(0.002)

    def _finished(self, count: int, _written: Future[None]) -> None:
        with self._lock:
            self._pending -= count
            if self._pending == 0:
                self._oldest = None

    def _process(self, documents: Sequence[Document]) -> Future[None]:
        ready: list[Document] = []
        for document in documents:
            try:
                ready.append(self._processor.process(document))
            except PredatorError as error:
                self._instruments.quarantined.inc()
                self._store.put_documents([document], "quarantined", time.time())
                self._store.log(time.time(), "etl", "warning", error.cause, document.id)
        self._index_batch(ready)
        self._store.log(
            time.time(), "etl", "info", "documents indexed", f"{len(ready)} of {len(documents)}"
        )
        return self._store.put_documents(ready, "indexed", time.time())

    def _index_batch(self, documents: Sequence[Document]) -> None:
        if not documents:
            return
        rows = self._index.add(documents)
        self._instruments.documents.set(len(self._index))
        self._spaces.submit(rows, documents)

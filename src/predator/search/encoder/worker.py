"""Many texts to vectors beside the main process: all at once, or behind a running service."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed

import numpy as np
from numpy.typing import NDArray

from predator.search.encoder.background import BackgroundEncoder
from predator.search.encoder.files import EncoderFiles
from predator.search.encoder.process import EncoderProcess
from predator.search.encoder.vector_cache import VectorCache, keep, vector_key

__all__ = ["BackgroundEncoder", "encode_all"]

Floats = NDArray[np.float32]

CHUNK = 32
"""Texts a request: some 0.2 s of work, the most that an interrupt loses."""


def encode_all(
    texts: Sequence[str],
    files: EncoderFiles,
    cache: VectorCache | None,
    *,
    processes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Embeddings [len(texts), dim]; what ``cache`` lacks is computed by single-thread processes.

    ``progress(done, total)`` counts texts, in this thread. Vectors are kept as they come, so that
    after an interrupt the next call goes on where this one ended. Texts are taken as they stand:
    one text a run needs no sorting by length, and an even mix makes the progress an honest clock.
    Raises ``PredatorError`` where a process dies or the encoder's files are broken.
    """
    report = progress or (lambda _done, _total: None)
    row_of: dict[bytes, int] = {}
    rows = [row_of.setdefault(vector_key(files.digest, text), len(row_of)) for text in texts]
    keys, text_of = list(row_of), dict(zip(rows, texts, strict=True))
    vectors, missing = np.zeros((len(keys), files.dim), np.float32), list(range(len(keys)))
    if cache is not None:
        found, vectors = cache.get(keys)
        missing = np.flatnonzero(~found).tolist()
    done = len(texts) - len(missing)
    report(done, len(texts))
    chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
    requests = [[text_of[row] for row in chunk] for chunk in chunks]
    for number, fresh in _spread(requests, files, min(processes, len(requests))):
        chunk = chunks[number]
        vectors[chunk] = fresh
        keep(cache, [keys[row] for row in chunk], fresh)
        done += len(chunk)
        report(done, len(texts))
    return np.asarray(vectors[rows], np.float32)


def _spread(
    requests: Sequence[Sequence[str]], files: EncoderFiles, processes: int
) -> Iterator[tuple[int, Floats]]:
    """The number and the vectors of each request, as they get ready.

    Ends every process on the way out, whatever the way: done, failed, interrupted.
    """
    if not requests:
        return
    workers: list[EncoderProcess] = []
    idle: queue.SimpleQueue[EncoderProcess] = queue.SimpleQueue()

    def work(texts: Sequence[str]) -> Floats:
        worker = idle.get()
        try:
            return worker.encode(texts)
        finally:
            idle.put(worker)

    threads = ThreadPoolExecutor(max(1, processes), thread_name_prefix="encode")
    try:
        for _ in range(max(1, processes)):
            workers.append(EncoderProcess(files))
            idle.put(workers[-1])
        futures = {threads.submit(work, texts): i for i, texts in enumerate(requests)}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            worker.kill()
        threads.shutdown()
        for worker in workers:
            worker.close()

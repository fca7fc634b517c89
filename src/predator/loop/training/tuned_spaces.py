"""An index with the vectors that were brought, and with those of encoders tuned here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from predator.learning.bi_encoder import BiEncoder
from predator.loop.training.job_child import Report
from predator.search.encoder.files import EncoderFiles
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.engine import QueryEncoder
from predator.search.index import Index
from predator.search.serving.ingest import embedding_text

CHUNK = 64
"""Documents between two reports."""


class TunedSpaces:
    """Encodes in this process; exports go below ``folder``, and read ``max_tokens`` of a text."""

    def __init__(
        self, index: Index, encoder: QueryEncoder, folder: Path, max_tokens: int, report: Report
    ) -> None:
        self._index, self._encoder = index, encoder
        self._folder, self._max_tokens, self._report = folder, max_tokens, report
        self._tuned: dict[str, OnnxEncoder] = {}
        self.files: dict[str, EncoderFiles] = {}

    def seen_by(self, digest: str) -> tuple[Index, QueryEncoder]:
        """The index with the vectors of encoder ``digest``; ``KeyError`` where it is unknown."""
        if digest == self._index.encoder:
            return self._index, self._encoder
        return self._index.seen_by(digest), self._tuned[digest]

    def add(self, tuned: BiEncoder) -> str:
        """Export a tuned encoder, encode all documents with it, and give its digest."""
        files = tuned.export(self._folder, max_tokens=self._max_tokens)
        encoder = OnnxEncoder(files)
        rows = self._index.live_rows()
        texts = [embedding_text(self._index.documents[row]) for row in rows.tolist()]
        vectors = np.zeros((len(texts), files.dim), np.float32)
        for start in range(0, len(texts), CHUNK):
            self._report("vectors of the tuned encoder", start, len(texts))
            vectors[start : start + CHUNK] = encoder.encode(texts[start : start + CHUNK])
        self._index.open_space(files.digest, files.dim)
        self._index.seen_by(files.digest).set_vectors(rows.tolist(), vectors)
        self._tuned[files.digest], self.files[files.digest] = encoder, files
        return files.digest

"""Runs an exported encoder: one thread, one text a run.

One text a run is a choice. Texts in a batch share the scales of int8 activations, so a vector
would depend on its neighbours, and they are padded to the longest. Alone, a vector depends on its
text only, and nothing is slower for it: on one thread batches of 8 and 32 reach 95% and 85% of
the speed at 128 tokens.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.search.encoder.files import EncoderFiles

Floats = NDArray[np.float32]

CHARACTERS_PER_TOKEN = 64
"""How much of a text the tokenizer is shown: far more than the tokens that count can hold."""
QUERY_CACHE = 4096

_SLOW_FUSION = ["SkipLayerNormFusion"]
"""ONNX Runtime's fused skip-normalisation takes 25% of MiniLM's time; Add and norm take 6%."""


class OnnxEncoder:
    """An exported encoder. Loads at the first use; any number of threads may share it."""

    def __init__(self, files: EncoderFiles, *, threads: int = 1) -> None:
        self._files, self._threads = files, threads
        self._loaded: tuple[Any, Any] | None = None
        self._lock = threading.Lock()
        self._cached = lru_cache(QUERY_CACHE)(self._encode_query)

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides a vector."""
        return self._files.digest

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._files.dim

    @property
    def largest_token_id(self) -> int:
        """The largest id that the tokenizer can give."""
        tokenizer, _ = self._load()
        return max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Embeddings [len(texts), dim] of unit length; a text is cut to its first tokens.

        Raises ``IntegrityError`` where the exported files are not what they were.
        """
        vectors = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._encode(shown(text, self._files.max_tokens))
        return vectors

    def encode_query(self, text: str) -> Floats:
        """The embedding [dim] of one query, read-only; repeated queries cost nothing."""
        return self._cached(shown(text, self._files.max_tokens))

    def _encode_query(self, text: str) -> Floats:
        vector = self._encode(text)
        vector.setflags(write=False)
        return vector

    def _encode(self, text: str) -> Floats:
        tokenizer, session = self._load()
        ids = np.array([tokenizer.encode(text).ids], np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        vector: Floats = session.run(None, feeds)[0][0]
        # A vector that is no number would poison every comparison; zeros are near to nothing.
        return vector if np.isfinite(vector).all() else np.zeros_like(vector)

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    files = self._files
                    self._loaded = (
                        _tokenizer(files.tokenizer(), files.max_tokens),
                        open_session(files.model(), self._threads),
                    )
        return self._loaded


def shown(text: str, max_tokens: int) -> str:
    """The part of ``text`` that the tokenizer is shown, as valid Unicode."""
    return text[: CHARACTERS_PER_TOKEN * max_tokens].encode("utf-8", "replace").decode()


def _tokenizer(data: bytes, max_tokens: int) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(data.decode())
        tokenizer.no_padding()
        tokenizer.enable_truncation(max_tokens)
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"the encoder's tokenizer cannot be read: {error}") from None
    return tokenizer


def open_session(model: bytes, threads: int) -> Any:
    """ONNX Runtime's session on the CPU, tuned for runs of one text."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait starve each other on a busy machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Every length is another shape: a memory plan for each would only hold memory.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"],
        disabled_optimizers=_SLOW_FUSION,
    )

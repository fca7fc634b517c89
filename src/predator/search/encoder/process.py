"""The handle on an encoder process, and the frames that go through its pipes.

A frame is a length (4 bytes), a JSON header, and as many bytes as the header says: plain data,
nothing that could run. The child works on one request at a time and ends when its input does, so
it cannot outlive its parent.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import PredatorError
from predator.search.encoder.files import EncoderFiles
from predator.search.encoder.onnx_encoder import shown

CHILD = "predator.search.encoder.child"
_LENGTH = struct.Struct(">I")
_FRAME_BYTES_MAX = 256 << 20


class WorkerDiedError(PredatorError):
    """The encoder process ended in the middle of its work."""


class EncoderProcess:
    """One single-thread encoder in a process of its own; ``nice`` lowers its priority.

    One thread at a time may call :meth:`encode`; :meth:`kill` may come from any.
    """

    def __init__(self, files: EncoderFiles, *, nice: int = 0) -> None:
        self._files = files
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", CHILD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
            # A ctrl-C is the parent's to answer: it ends its workers itself.
            start_new_session=True,
        )
        self._send({"files": describe(files), "nice": nice})

    @property
    def pid(self) -> int:
        """The system's number for the process."""
        return self._process.pid

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings [len(texts), dim].

        Raises ``WorkerDiedError`` where the process is gone, ``PredatorError`` with what it says.
        """
        # No more goes through the pipe than the tokenizer would be shown.
        self._send({"texts": [shown(text, self._files.max_tokens) for text in texts]})
        frame = read_frame(cast(IO[bytes], self._process.stdout))
        if frame is None:
            raise self._died()
        header, payload = frame
        if "error" in header:
            raise PredatorError(str(header["error"]))
        return np.frombuffer(payload, "<f4").reshape(len(texts), self._files.dim)

    def kill(self) -> None:
        """End the process now; idempotent."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and its pipes; idempotent."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _send(self, header: Mapping[str, Any]) -> None:
        try:
            write_frame(cast(IO[bytes], self._process.stdin), header)
        except OSError:
            raise self._died() from None

    def _died(self) -> WorkerDiedError:
        self.close()
        return WorkerDiedError(f"the encoder process ended with code {self._process.returncode}")


def describe(files: EncoderFiles) -> dict[str, Any]:
    """``files`` as plain data."""
    return {
        "folder": str(files.folder),
        "model_sha256": files.model_sha256,
        "tokenizer_sha256": files.tokenizer_sha256,
        "dim": files.dim,
        "max_tokens": files.max_tokens,
        "int8": files.int8,
    }


def files_of(description: Mapping[str, Any]) -> EncoderFiles:
    """The inverse of :func:`describe`."""
    return EncoderFiles(**{**description, "folder": Path(description["folder"])})


def write_frame(stream: IO[bytes], header: Mapping[str, Any], payload: bytes = b"") -> None:
    """Send one frame whole."""
    data = json.dumps({**header, "payload": len(payload)}).encode()
    stream.write(_LENGTH.pack(len(data)) + data + payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next frame; ``None`` where the stream ends, in the middle of a frame too."""
    length = stream.read(_LENGTH.size)
    if len(length) < _LENGTH.size:
        return None
    data = stream.read(_bounded(_LENGTH.unpack(length)[0]))
    try:
        header = json.loads(data)
    except ValueError:
        return None
    payload = stream.read(_bounded(header["payload"]))
    return (header, payload) if len(payload) == header["payload"] else None


def _bounded(size: int) -> int:
    if size > _FRAME_BYTES_MAX:
        raise PredatorError(f"a frame of {size} bytes came through the encoder's pipe")
    return size

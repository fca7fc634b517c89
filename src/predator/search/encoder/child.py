"""The encoder process: ``python -m predator.search.encoder.child``, frames in, frames out."""

from __future__ import annotations

import os
import sys
from typing import IO

from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.encoder.process import files_of, read_frame, write_frame


def serve(requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until they end. The first frame names the encoder."""
    start = read_frame(requests)
    if start is None:
        return
    os.nice(int(start[0]["nice"]))
    encoder = OnnxEncoder(files_of(start[0]["files"]))
    while (frame := read_frame(requests)) is not None:
        try:
            vectors = encoder.encode(frame[0]["texts"])
        except Exception as error:  # the parent decides what it means
            write_frame(answers, {"error": f"{type(error).__name__}: {error}"})
        else:
            write_frame(answers, {}, vectors.astype("<f4").tobytes())


def main() -> None:
    """Keep the answers' pipe to ourselves: what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        serve(sys.stdin.buffer, answers)
    except BrokenPipeError:
        os._exit(0)  # the parent is gone


if __name__ == "__main__":
    main()

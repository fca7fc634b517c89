"""The encoder as it lies on disk: what was exported, and the hashes that name it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from predator.domain.canonical import digest_of, sha256_hex
from predator.domain.errors import IntegrityError

EXPORTER_VERSION = 1
"""Rises with every change that makes another vector of the same text."""
MODEL, TOKENIZER, MANIFEST = "model.onnx", "tokenizer.json", "encoder.json"


@dataclass(frozen=True, slots=True)
class EncoderFiles:
    """A folder with an exported encoder, and how many tokens of a text it reads.

    ``model_sha256`` and ``tokenizer_sha256`` are checked before either file is parsed. ``dim``
    is the length of a vector, ``int8`` whether the weights are quantised.
    """

    folder: Path
    model_sha256: str
    tokenizer_sha256: str
    dim: int
    max_tokens: int
    int8: bool = True

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides a vector."""
        return digest_of(
            {
                "model": self.model_sha256,
                "tokenizer": self.tokenizer_sha256,
                "max_tokens": self.max_tokens,
                "exporter": EXPORTER_VERSION,
            }
        )

    def model(self) -> bytes:
        """The ONNX file; ``IntegrityError`` where it is not what was exported."""
        return self._verified(MODEL, self.model_sha256)

    def tokenizer(self) -> bytes:
        """The tokenizer file; ``IntegrityError`` where it is not what was exported."""
        return self._verified(TOKENIZER, self.tokenizer_sha256)

    def manifest(self) -> bytes:
        """``encoder.json``: what a later run needs to use the folder again."""
        return json.dumps(
            {
                "exporter": EXPORTER_VERSION,
                "dim": self.dim,
                "int8": self.int8,
                "sha256": {MODEL: self.model_sha256, TOKENIZER: self.tokenizer_sha256},
            },
            indent=2,
        ).encode()

    def _verified(self, name: str, expected: str) -> bytes:
        path = self.folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise IntegrityError(f"{path} cannot be read: {error.strerror}", cure=_CURE) from None
        if sha256_hex(data) != expected:
            raise IntegrityError(f"{path} is not the file that was exported", cure=_CURE)
        return data


_CURE = "Run again: the encoder is exported anew"


def open_files(folder: Path, max_tokens: int) -> EncoderFiles | None:
    """The export in ``folder``, verified; ``None`` where there is none, or a broken one."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        files = EncoderFiles(
            folder,
            model_sha256=manifest["sha256"][MODEL],
            tokenizer_sha256=manifest["sha256"][TOKENIZER],
            dim=int(manifest["dim"]),
            max_tokens=max_tokens,
            int8=bool(manifest["int8"]),
        )
        files.model()
        files.tokenizer()
    except (OSError, ValueError, KeyError, TypeError, RecursionError, IntegrityError):
        return None
    return files

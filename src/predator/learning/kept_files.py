"""Finished parts of a long training: files that are there whole, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from predator.domain.canonical import sha256_hex

_RECORD = "files.json"


class KeptFiles:
    """Files in ``folder`` that only work of the same ``identity`` finds again."""

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder, self._identity = folder, identity

    def load(self) -> dict[str, bytes] | None:
        """What was kept; ``None`` where nothing was, or of other work, or not whole."""
        try:
            record = json.loads((self._folder / _RECORD).read_bytes())
            if record["identity"] != self._identity:
                return None
            files = {}
            for name, digest in record["files"].items():
                data = (self._folder / Path(name).name).read_bytes()
                if sha256_hex(data) != digest:
                    return None
                files[name] = data
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None
        return files

    def save(self, files: Mapping[str, bytes]) -> None:
        """Keep ``files``, also after a power cut; the record comes last."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self._folder / _RECORD).unlink(missing_ok=True)
        record = {
            "identity": self._identity,
            "files": {name: sha256_hex(data) for name, data in files.items()},
        }
        for name, data in (*files.items(), (_RECORD, json.dumps(record).encode())):
            partial = self._folder / f".{name}.new"
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._folder / name)

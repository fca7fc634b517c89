"""Where a training that was killed goes on: tensors as safetensors, the rest as JSON.

Two generations never mix: tensor files carry the number of their save, ``state.json`` names them
with their hashes and is replaced whole, and what it does not name is removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.canonical import sha256_hex

Tensors = Mapping[str, NDArray[np.float32]]
STATE = "state.json"


@dataclass(frozen=True, slots=True)
class Saved:
    """``state`` (JSON) and groups of tensors by name."""

    state: Mapping[str, Any]
    groups: Mapping[str, Tensors]


class Checkpoint:
    """The newest save of one training in ``folder``; ``identity`` names what is being trained."""

    def __init__(self, folder: Path, identity: str) -> None:
        self._folder, self._identity = folder, identity
        self._number = 0

    def load(self) -> Saved | None:
        """The last save; ``None`` where there is none, or not of this training, or not whole."""
        from safetensors.numpy import load

        try:
            record = json.loads((self._folder / STATE).read_bytes())
            if record["identity"] != self._identity:
                return None
            groups = {}
            for group, file in record["files"].items():
                data = (self._folder / Path(file["name"]).name).read_bytes()
                if sha256_hex(data) != file["sha256"]:
                    return None
                groups[group] = load(data)
            self._number = int(record["number"])
            return Saved(dict(record["state"]), groups)
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None

    def save(self, state: Mapping[str, Any], groups: Mapping[str, Tensors]) -> None:
        """Let this be what :meth:`load` finds, also after a power cut. Each group is a file."""
        from safetensors.numpy import save

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._number += 1
        files = {}
        for group, tensors in groups.items():
            data = save(dict(tensors))
            name = f"{group}-{self._number}.safetensors"
            self._write(name, data)
            files[group] = {"name": name, "sha256": sha256_hex(data)}
        record = {
            "identity": self._identity, "number": self._number, "state": dict(state),
            "files": files,
        }  # fmt: skip
        self._write(f"{STATE}.new", json.dumps(record, allow_nan=False).encode())
        (self._folder / f"{STATE}.new").replace(self._folder / STATE)
        self._keep_only({STATE, *(file["name"] for file in files.values())})

    def drop(self) -> None:
        """Free the room; the training is over."""
        self._keep_only(set())
        with suppress(OSError):
            self._folder.rmdir()

    def _keep_only(self, names: set[str]) -> None:
        with suppress(OSError):
            for path in self._folder.iterdir():
                if path.name not in names:
                    path.unlink()

    def _write(self, name: str, data: bytes) -> None:
        with (self._folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

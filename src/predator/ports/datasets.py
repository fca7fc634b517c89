"""Versioned training data: a dataset once written can be had again, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """Where a dataset lies, the hash of its bytes, and the commit that locks it."""

    path: Path
    hash: str
    revision: str
    lock_file: Path


class Datasets(Protocol):
    """Builds a dataset as a recorded, repeatable stage and keeps what it made."""

    def build(self, cycle_id: str, inputs: Mapping[str, bytes]) -> DatasetVersion:
        """Run the dataset stage of ``cycle_id`` over ``inputs`` (file name → bytes) and keep it.

        Idempotent by ``cycle_id`` and inputs: a second call returns the same version and builds
        nothing. Raises ``PredatorError`` where the stage fails; then nothing is locked.
        """
        ...

    def fetch(self, version: DatasetVersion) -> bytes:
        """The bytes of the dataset, restored from the remote where the work copy is gone."""
        ...

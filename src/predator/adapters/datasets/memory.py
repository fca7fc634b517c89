"""Datasets in memory, for tests and dry runs; a function takes the place of the stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from predator.adapters.datasets.inputs import OUTPUT_NAME, checked_cycle_id, inputs_digest
from predator.domain.canonical import digest_of, sha256_hex
from predator.domain.errors import InputError, IntegrityError, PredatorError
from predator.ports.datasets import DatasetVersion

Stage = Callable[[Mapping[str, bytes]], bytes]


class MemoryDatasets:
    """``Datasets`` whose remote is a dictionary; work copies and locks lie under ``root``."""

    def __init__(self, root: Path, stage: Stage) -> None:
        self._root = root.absolute()
        self._stage = stage
        self._versions: dict[tuple[str, str], DatasetVersion] = {}
        self._remote: dict[str, bytes] = {}

    def build(self, cycle_id: str, inputs: Mapping[str, bytes]) -> DatasetVersion:
        key = (checked_cycle_id(cycle_id), inputs_digest(inputs))
        if key in self._versions:
            return self._versions[key]
        try:
            content = self._stage(dict(inputs))
        except Exception as error:
            raise PredatorError(f"the dataset stage failed: {error}") from error
        digest = sha256_hex(content)
        path = self._root / "datasets" / cycle_id / OUTPUT_NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        lock_file = path.with_name("dvc.lock")
        lock_file.write_text(json.dumps({"stages": {f"dataset-{cycle_id}": digest}}, indent=1))
        revision = digest_of([*key, digest])[:40]
        self._remote[digest] = content
        return self._versions.setdefault(key, DatasetVersion(path, digest, revision, lock_file))

    def fetch(self, version: DatasetVersion) -> bytes:
        if version not in self._versions.values():
            raise InputError(f"{str(version.path)!r} is not a dataset of {self._root}")
        if not version.path.exists():
            version.path.parent.mkdir(parents=True, exist_ok=True)
            version.path.write_bytes(self._remote[version.hash])
        elif sha256_hex(version.path.read_bytes()) not in self._remote:
            raise IntegrityError(
                f"the dataset {version.path} was changed after it was made",
                cure="Delete the file and it is restored from the remote",
            )
        return self._remote[version.hash]

"""The memory dataset store keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from predator.adapters.datasets.memory import MemoryDatasets
from predator.ports.datasets import Datasets
from tests.contracts.datasets import DatasetsContract, stage


class TestMemoryDatasets(DatasetsContract):
    @pytest.fixture
    def datasets(self, tmp_path: Path) -> MemoryDatasets:
        self.calls: list[Mapping[str, bytes]] = []

        def counted(inputs: Mapping[str, bytes]) -> bytes:
            self.calls.append(inputs)
            return stage(inputs)

        return MemoryDatasets(tmp_path, counted)

    def runs(self, datasets: Datasets) -> int:
        return len(self.calls)

"""The memory tracking store keeps the contract."""

from __future__ import annotations

import pytest

from predator.adapters.tracking.memory import MemoryTracking
from predator.adapters.tracking.names import parse_reference
from tests.contracts.tracking import ListedTracking, SeenModel, SeenRun, TrackingContract


class TestMemoryTracking(TrackingContract):
    @pytest.fixture
    def tracking(self) -> MemoryTracking:
        return MemoryTracking()

    def run(self, tracking: ListedTracking, run_id: str) -> SeenRun:
        assert isinstance(tracking, MemoryTracking)
        run = tracking.runs[run_id]
        rows = {name: entry[2] for name, entry in run.datasets.items()}
        return SeenRun(run.summary.status, run.params, run.metrics, run.tags, run.artifacts, rows)

    def model(self, tracking: ListedTracking, reference: str) -> SeenModel:
        assert isinstance(tracking, MemoryTracking)
        model = tracking.models[reference]
        return SeenModel(model.run_id, model.files, model.tags)

    def aliased(self, tracking: ListedTracking, name: str, alias: str) -> str:
        assert isinstance(tracking, MemoryTracking)
        reference = f"models:/{name}/{tracking.aliases[name, alias]}"
        assert parse_reference(reference)
        return reference

"""The station that augments, from documents and labels to what a cycle leaves."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from predator.adapters.datasets.memory import MemoryDatasets
from predator.adapters.object_store.memory import MemoryObjectStore
from predator.adapters.query_writer.memory import MemoryQueryWriter
from predator.domain.documents import Query
from predator.domain.errors import PredatorError
from predator.learning.leakage import near_duplicates
from predator.loop.dataset import snapshot
from predator.loop.dataset import stage as dataset_stage
from predator.loop.labels import Labels
from predator.loop.real_stations import RealStations
from predator.ports.query_writer import QueryWriter
from tests.learning.test_query_generation import written

DOCUMENTS = written(40)
GOLD = [Query("g", "What is the special7 subject about?")]
JUDGED = [Query("t", "special0 with detail"), Query("copy", "what is a special7 subject about")]


class Kept:
    """Records what a station tells and leaves."""

    def __init__(self, folder: Path, writer: QueryWriter | None) -> None:
        self.files: dict[str, Any] = {}
        self.metrics: dict[str, float] = {}
        self.told: set[str] = set()
        self.notes: list[str] = []
        objects = MemoryObjectStore()
        tracking = SimpleNamespace(
            dataset=lambda *_: None, metrics=lambda _run, values: self.metrics.update(values)
        )
        progress = SimpleNamespace(
            work=lambda what, done, total: self.told.add(what), note=self.notes.append
        )
        self.record = SimpleNamespace(
            cycle_id="si_2026_11_02_001",
            run_id="run",
            trigger={"type": "scheduled"},
            options=SimpleNamespace(generated_queries=30, seed=0),
            write=self.files.__setitem__,
            ring=SimpleNamespace(
                objects=objects,
                tracking=tracking,
                progress=progress,
                clock=SimpleNamespace(now=lambda: 1e9),
            ),
        )
        self.opened = {"corpus": snapshot.keep(objects, DOCUMENTS, {})}
        datasets = MemoryDatasets(folder, lambda inputs: dataset_stage.build_from(inputs).data)
        labels = Labels(JUDGED, [], GOLD, {q.id: {"doc-0": 1} for q in [*JUDGED, *GOLD]})
        self.stations = RealStations(
            cast(Any, SimpleNamespace(datasets=datasets, writer=writer)),
            labels,
            cast(Any, SimpleNamespace(baseline_until=0.0)),
            {},
        )

    def build(self) -> dict[str, Any]:
        diagnosis = {"low_coverage_terms": ["function"], "affected_categories": []}
        self.stations.build_dataset(cast(Any, self.record), self.opened, diagnosis)
        value: dict[str, Any] = YAML(typ="safe").load(self.files["dataset_manifest.yaml"])
        return value


def test_a_cycle_leaves_queries_with_what_became_of_the_others(tmp_path: Path) -> None:
    kept = Kept(tmp_path, None)
    manifest = kept.build()
    rows = dataset_stage.read_rows(kept.files["augmented_dataset.csv"])
    assert manifest["statistics"]["total_examples"] == 30 == len(rows) - 1
    assert manifest["filters"]["dropped"]["judged_leak"] == 1
    assert not near_duplicates([row[1] for row in rows], [q.text for q in GOLD]).any()
    assert manifest["writer"] is None
    assert kept.metrics["generated_examples"] == 30
    assert kept.metrics["dropped_judged_leak"] == 1
    assert kept.told == {"queries generated"}


def test_what_a_writer_says_stands_beside_the_built_in_queries(tmp_path: Path) -> None:
    kept = Kept(tmp_path, MemoryQueryWriter(lambda d: f"which wizard needs {d.text.split()[6]}"))
    manifest = kept.build()
    assert manifest["writer"]["name"] == "memory"
    assert 0 < manifest["methods"]["memory"] < 30
    assert sum(manifest["methods"].values()) == 30
    assert kept.told == {"documents read by the query writer", "queries generated"}


def test_a_writer_that_is_down_is_noted_and_done_without(tmp_path: Path) -> None:
    def down(_: Any) -> str:
        raise PredatorError("the query writer does not answer (HTTP 503)")

    kept = Kept(tmp_path, MemoryQueryWriter(down))
    manifest = kept.build()
    assert manifest["writer"]["failure"] == "the query writer does not answer (HTTP 503)"
    assert kept.notes == [
        "the query writer does not answer (HTTP 503): queries are made without it"
    ]
    assert manifest["statistics"]["total_examples"] == 30


def test_counts_of_another_code_than_the_datas_are_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, None)
    kept.build()
    built = dataset_stage.Built(b"other", {"leak": 99})
    monkeypatch.setattr(dataset_stage, "build_from", lambda *_: built)
    assert kept.build()["filters"] is None

"""The manifest holds the spec's fields, and what became of every query that was thought of."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from predator.loop.dataset.manifest import Row, manifest
from predator.loop.record import Record
from predator.ports.datasets import DatasetVersion

CYCLE = "si_2025_12_07_001"
VERSION = DatasetVersion(Path("/x/augmented_dataset.csv"), "a1b2", "c3d4", Path("/x/dvc.lock"))
ROWS: list[Row] = [
    ("q1", "mean of array", "d1", 1, "judgment"),
    ("gen-0", "sort the array", "d1", 1, "title"),
    ("gen-1", "sort the graph", "d2", 1, "openai_compatible"),
]


def record() -> Record:
    ring = SimpleNamespace(clock=SimpleNamespace(now=lambda: 1765071825.0))
    given = SimpleNamespace(cycle_id=CYCLE, ring=ring, trigger={"type": "ndcg_drop"}, run_id="run1")
    return cast(Record, given)


def written(**more: Any) -> dict[str, Any]:
    text = manifest(record(), VERSION, ROWS, 1247, ["transformers", "llama"], **more)
    value: dict[str, Any] = YAML(typ="safe").load(text)
    return value


def test_the_specs_fields_are_all_there() -> None:
    value = written()
    assert value["dataset_id"] == "aug_2025_12_07_001"
    assert value["cycle_id"] == CYCLE
    assert value["created_at"] == "2025-12-07T01:43:45Z"
    assert value["source"] == {
        "type": "auto_augmentation", "trigger": "ndcg_drop", "base_documents": 1247,
    }  # fmt: skip
    assert value["method"] == "query_generation"
    assert value["target_tokens"] == ["transformers", "llama"]
    assert value["statistics"]["total_examples"] == 2
    assert value["statistics"]["avg_length"] == 14.0
    assert value["statistics"]["diversity_score"] == pytest.approx(3 / 4)
    assert value["dvc"] == {
        "path": f"datasets/{CYCLE}/augmented_dataset.csv", "hash": "a1b2", "revision": "c3d4",
    }  # fmt: skip
    assert value["mlflow"] == {
        "run_id": "run1", "artifact_uri": "runs:/run1/augmented_dataset.csv",
    }  # fmt: skip


def test_methods_filters_and_the_writer_are_told() -> None:
    told = {"name": "openai_compatible", "cost_usd": 0.5}
    value = written(dropped={"leak": 3, "duplicate": 0}, writer=told)
    assert value["methods"] == {
        "title": 1, "first_sentence": 0, "key_phrase": 0, "inverse_cloze": 0,
        "openai_compatible": 1,
    }  # fmt: skip
    assert value["filters"] == {"dropped": {"leak": 3, "duplicate": 0}}
    assert value["writer"] == told


def test_what_nobody_knows_is_not_zero() -> None:
    assert written()["filters"] is None
    assert written()["writer"] is None

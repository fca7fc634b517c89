"""What reads texts is submitted with all it needs, or not at all and with the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.trainer.memory import MemoryTrainer
from predator.domain.errors import IntegrityError
from predator.domain.verdicts import Verdict
from predator.loop.labels import Labels
from predator.loop.replay import replay
from predator.loop.training.job_child import Report
from predator.loop.training.portfolio_files import (
    LEFT_OUT,
    OBJECT,
    PORTFOLIO,
    TUNED_ON,
    read_documents,
    read_masked,
)
from predator.search.cross_encoder_files import keep_cross_encoder
from predator.search.rankers import Named
from predator.search.rerank import dump_blend
from tests.loop.small_ring import CYCLE, World, short
from tests.search.pair_models import Objects, exported


def reads_texts(
    inputs: Mapping[str, bytes], spec: Mapping[str, Any], report: Report
) -> dict[str, bytes]:
    """A blend with a cross-encoder, better than the fusion it is blended with."""
    documents = read_documents(inputs)
    hidden, _ = read_masked(inputs, int(spec["dim"]))
    assert hidden, "generated queries are learnt from on documents without what they came from"
    for place, bare in hidden.items():
        whole = documents[place]
        assert bare.id == whole.id
        assert len(bare.title) + len(bare.text) < len(whole.title) + len(whole.text)
    store = Objects()
    blend = dump_blend(
        Named("cross_encoder", keep_cross_encoder(store.put, exported().files), 3, 60_000.0), 0.1
    )
    plain = {
        "name": "fusion", "ndcg_at_10_out_of_fold": 0.5, "details": {}, "tuned": False,
        "retrieval": {**spec["base"], "fusion": "zsum"}, "reranker": None,
    }  # fmt: skip
    deep = {
        **plain, "name": "cross_encoder", "ndcg_at_10_out_of_fold": 0.9,
        "details": {"budget_ms": 60_000.0}, "reranker": "reranker-1.json",
    }  # fmt: skip
    return {
        PORTFOLIO: json.dumps([plain, deep]).encode(),
        LEFT_OUT: b"{}",
        TUNED_ON: b"[]",
        "reranker-1.json": blend,
        **{f"{OBJECT}{digest}": data for digest, data in store.held.items()},
    }


def portfolio(world: World) -> dict[str, str]:
    """What is said of each candidate."""
    folder = world.folder / "artifacts" / CYCLE
    assert replay(folder).ok
    (path,) = folder.glob("mlflow_run_*/model/portfolio.json")
    return {one["name"]: one["reason"] for one in json.loads(path.read_text())}


def submitted(world: World) -> Mapping[str, Any]:
    folder = world.folder / "artifacts" / CYCLE
    (path,) = folder.glob("mlflow_run_*/model/release.json")
    return dict(json.loads(path.read_text()))


def turned(folder: Path, **settings: object) -> World:
    world = World(folder, short(folder, **settings))
    world.trainer = MemoryTrainer({"portfolio": reads_texts})
    world.turn(world.live_through())
    return world


def test_what_fits_is_submitted_and_its_files_are_in_the_store(tmp_path: Path) -> None:
    world = turned(tmp_path, latency_floor_ms=1e5, cpu_hour_usd=0.0)
    assert portfolio(world)["cross_encoder"] == "submitted: the best out of fold"
    assert submitted(world)["reranker"] is not None
    manifest = exported().manifest
    for digest in (manifest.digest, manifest.model.sha256, manifest.tokenizer.sha256):
        assert world.objects.get(digest)


def test_what_would_break_the_gates_is_not_and_leaves_nothing(tmp_path: Path) -> None:
    world = turned(tmp_path, latency_floor_ms=1e5, cpu_hour_usd=1e9)
    said = portfolio(world)
    assert said["fusion"] == "submitted: the best out of fold of those that could be served"
    assert "could not be served: cost_per_1k_usd would be" in said["cross_encoder"]
    assert submitted(world)["reranker"] is None
    with pytest.raises(IntegrityError):
        world.objects.get(exported().manifest.digest)


class Unjudged(World):
    """Nobody has judged anything but Gold, and what the monitor watches."""

    def labels(self) -> Labels:
        return replace(super().labels(), training=())


def test_a_cycle_without_judgments_to_learn_from_tunes_the_fusion_on_generated_queries(
    tmp_path: Path,
) -> None:
    world = Unjudged(tmp_path, short(tmp_path, generated_queries=60))
    outcome = world.turn(world.live_through())
    assert outcome.verdict is not Verdict.ERROR
    said = portfolio(world)
    assert said["fusion"].startswith("submitted")
    assert "there are no judgments" in said["lambdamart"]

"""Whatever is wrong with what is learnt from, the cycle says so and users keep what they have."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.trainer.memory import MemoryTrainer
from predator.domain.errors import PredatorError
from predator.loop.replay import replay
from predator.loop.training.job_child import Report
from predator.loop.training.portfolio_files import DOCUMENT_VECTORS, PORTFOLIO
from tests.loop.small_ring import CYCLE, World, short, train_once

Files = Mapping[str, bytes]
Training = Callable[[Files, Mapping[str, Any], Report], dict[str, bytes]]


def out_of_memory(inputs: Files, spec: Mapping[str, Any], report: Report) -> dict[str, bytes]:
    raise MemoryError


def nan_vector(inputs: Files, spec: Mapping[str, Any], report: Report) -> dict[str, bytes]:
    nan = b"\x00\x00\xc0\x7f"
    damaged = {**inputs, DOCUMENT_VECTORS: nan + inputs[DOCUMENT_VECTORS][4:]}
    return train_once(damaged, spec, report)


def no_model(inputs: Files, spec: Mapping[str, Any], report: Report) -> dict[str, bytes]:
    """A reranker that cannot be loaded, in place of the best one's."""
    best = {
        "name": "lambdamart", "ndcg_at_10_out_of_fold": 1.0, "details": {}, "tuned": False,
        "retrieval": spec["base"], "reranker": "reranker-1.json",
    }  # fmt: skip
    return {
        PORTFOLIO: json.dumps([best]).encode(),
        "left_out.json": b"{}",
        "tuned_on.json": b"[]",
        "reranker-1.json": b'{"format": "predator-lambdamart/1", "model": "tree"}',
    }


def ends(world: World) -> str:
    """The cycle's error; its record is closed and replays, and the first release serves."""
    with pytest.raises(PredatorError) as caught:
        world.turn(world.live_through())
    folder = world.folder / "artifacts" / CYCLE
    assert replay(folder).ok
    records = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
    assert records[-1]["summary"]["outcome"] == "error"
    wanted = world.desired.read()
    assert wanted.release.version == "v1.0"
    assert (wanted.experiment, wanted.holdback) == (None, None)
    assert world.commits == []
    return str(caught.value)


@pytest.mark.parametrize(
    ("training", "says"),
    [
        (out_of_memory, "the training failed: MemoryError"),
        (nan_vector, "document vector 0 holds a number that is not finite"),
        (no_model, "the reranker file cannot be read"),
    ],
)
def test_the_cycle_ends_with_a_clear_error_and_nothing_changes(
    tmp_path: Path, training: Training, says: str
) -> None:
    world = World(tmp_path, short(tmp_path))
    world.trainer = MemoryTrainer({"portfolio": training})
    assert says in ends(world)


def test_judgments_of_one_class_are_a_clear_error_and_nothing_changes(tmp_path: Path) -> None:
    world = World(tmp_path, short(tmp_path))
    for query in world.labels().training:
        world.judgments[query.id] = dict.fromkeys(world.judgments[query.id], 0)
    assert "no training query has both a relevant and another document" in ends(world)

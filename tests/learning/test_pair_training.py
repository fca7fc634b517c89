"""A cross-encoder learns what tells answers from the rest; killed, it goes on as it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predator.domain.errors import InputError, PredatorError
from predator.learning import cross_encoder, pair_training
from predator.learning.cross_encoder import Plan, Tuned, export, load, train
from predator.learning.pair_network import TokenPair, logits
from predator.learning.pairs import Pair, Pairs
from predator.search.cross_encoder import CrossEncoder, PairTokens
from predator.search.cross_encoder_files import Manifest, Part
from predator.search.encoder.graph import build_pair_graph
from predator.search.encoder.source import parse_weights
from tests.learning.pair_worlds import pairs, tiny_source

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore"),  # the warnings of torch and its kin are not ours
]

PLAN = Plan(
    seed=3, epochs=6, learning_rate=3e-3, max_tokens=16, max_query_tokens=4, precision="float32"
)


@pytest.fixture(scope="module")
def tuned() -> Tuned:
    pytest.importorskip("torch")
    return train(tiny_source(), pairs(), PLAN)


def same(one: Tuned, other: Tuned) -> bool:
    return all(np.array_equal(value, other.weights[name]) for name, value in one.weights.items())


def test_it_learns_and_serves_what_it_has_learnt(tuned: Tuned) -> None:
    losses = [step["dev_loss"] for step in tuned.report["history"]]
    assert tuned.report["best_dev_loss"] == min(losses) < 0.5 * losses[0]
    model = load(export(tuned))
    unseen = pairs(seed=9).train
    scores = np.asarray([model.encoder.score(one.query, [one.document])[0] for one in unseen])
    assert np.mean((scores > 0) == [one.target > 0.5 for one in unseen]) > 0.9
    word = max(model.encoder.explain("read", "q table file"), key=lambda one: one.share)
    assert word.text == "table"
    assert model.report["pairs"] == 256
    assert model.report["int8_rank_correlation"] >= 0.95


def test_onnx_is_the_network_that_was_trained(tuned: Tuned) -> None:
    torch = import_module("torch")
    graph = build_pair_graph(tuned.shape, tuned.weights).SerializeToString()
    manifest = Manifest(Part.of(graph), Part.of(tuned.tokenizer), 16, 4)
    exact = CrossEncoder(manifest, graph, tuned.tokenizer)
    read = PairTokens(tuned.tokenizer, 16, 4)
    some = pairs().train[:40]
    tokens = [read(one.query, one.document) for one in some]
    weights = {name: torch.from_numpy(value) for name, value in tuned.weights.items()}
    wanted = logits(
        torch, tuned.shape, weights, [TokenPair(t.ids, t.type_ids.index(1)) for t in tokens]
    ).numpy()
    got = np.concatenate([exact.score(one.query, [one.document]) for one in some])
    np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_the_tables_of_words_and_places_stay_where_they_were(tuned: Tuned) -> None:
    before = parse_weights(tiny_source())
    for table in ("word", "position"):
        name = f"embeddings.{table}_embeddings.weight"
        np.testing.assert_array_equal(tuned.weights[name], before[name])
    moved = "encoder.layer.0.intermediate.dense.weight"
    assert not np.array_equal(tuned.weights[moved], before[moved])


def test_the_same_seed_gives_the_same_weights(tuned: Tuned) -> None:
    assert same(train(tiny_source(), pairs(), PLAN), tuned)
    short = replace(PLAN, epochs=1)
    one, other = (train(tiny_source(), pairs(), replace(short, seed=s)) for s in (1, 2))
    assert not same(one, other)


class KilledError(Exception):
    pass


def kill_at(step: int) -> Callable[[str, int, int], None]:
    def report(_what: str, done: int, _total: int) -> None:
        if done == step:
            raise KilledError

    return report


def test_killed_it_goes_on_bit_for_bit(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_training, "SAVE_EVERY_S", 0.0)
    for step in (5, 29):
        with pytest.raises(KilledError):
            train(tiny_source(), pairs(), PLAN, report=kill_at(step), checkpoints=tmp_path / "c")
    assert {path.suffix for path in (tmp_path / "c").iterdir()} == {".json", ".safetensors"}
    steps: list[int] = []
    again = train(
        tiny_source(), pairs(), PLAN,
        report=lambda _what, done, _total: steps.append(done), checkpoints=tmp_path / "c",
    )  # fmt: skip
    assert steps[0] == 29  # the step whose end was not saved
    assert same(again, tuned)
    assert not (tmp_path / "c").exists()


def test_another_training_or_a_damaged_checkpoint_begins_anew(
    tuned: Tuned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pair_training, "SAVE_EVERY_S", 0.0)
    other = replace(PLAN, seed=4)
    with pytest.raises(KilledError):
        train(tiny_source(), pairs(), other, report=kill_at(20), checkpoints=tmp_path)
    steps: list[int] = []

    def note(_what: str, done: int, _total: int) -> None:
        steps.append(done)
        if done == 20:
            raise KilledError

    with pytest.raises(KilledError):
        train(tiny_source(), pairs(), PLAN, report=note, checkpoints=tmp_path)
    weights = next(path for path in tmp_path.iterdir() if path.name.startswith("weights"))
    weights.write_bytes(weights.read_bytes()[:-1])
    again = train(
        tiny_source(), pairs(), PLAN,
        report=lambda _what, done, _total: steps.append(done), checkpoints=tmp_path,
    )  # fmt: skip
    assert steps[0] == steps[20] == 1
    assert same(again, tuned)


def test_where_memory_ends_fewer_pairs_are_run_at_once(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = logits

    def narrow(torch: Any, shape: Any, weights: Any, part: Any, dropout: float = 0.0) -> Any:
        if len(part) > 8:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        return wanted(torch, shape, weights, part, dropout)

    monkeypatch.setattr(pair_training, "logits", narrow)
    plan = replace(PLAN, dropout=0.0, epochs=1)
    found = train(tiny_source(), pairs(), plan)
    assert found.report["run_at_once"] == 8
    assert found.report["batch"] == 32
    monkeypatch.undo()
    whole = train(tiny_source(), pairs(), plan)
    for name, value in whole.weights.items():
        np.testing.assert_allclose(found.weights[name], value, atol=2e-3)


def test_where_not_one_pair_fits_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(pair_training, "logits", none)
    with pytest.raises(MemoryError, match="not even one pair of 16 tokens"):
        train(tiny_source(), pairs(), PLAN)


def test_out_of_time_it_keeps_the_best_so_far() -> None:
    found = train(tiny_source(), pairs(), replace(PLAN, epochs=1000, budget_s=2.0))
    assert found.report["out_of_time"]
    assert 1 <= found.report["steps"] < found.report["planned_steps"]
    assert found.report["elapsed_s"] < 20


def test_a_loss_that_is_no_number_ends_it() -> None:
    with pytest.raises(PredatorError, match="Lower the learning rate"):
        train(tiny_source(), pairs(), replace(PLAN, learning_rate=1e8))


def test_soft_targets_are_learnt_as_they_are() -> None:
    soft = [replace(one, target=0.3 + 0.4 * one.target) for one in pairs().train]
    found = train(tiny_source(), Pairs(soft, soft[:64], "a teacher"), replace(PLAN, epochs=15))
    model = load(export(found))
    scores = np.asarray([model.encoder.score(one.query, [one.document])[0] for one in soft])
    wanted = np.asarray([one.target for one in soft])
    assert np.abs(1 / (1 + np.exp(-scores)) - wanted).mean() < 0.1
    assert model.report["teacher"] == "a teacher"


def test_long_and_strange_texts_are_cut_and_learnt_from() -> None:
    strange = [
        Pair("read \ud800", "table " * 100_000, 1.0),
        Pair("read " * 5000, "", 0.0),
        Pair("q", "\x00", 0.0),
    ]
    found = train(tiny_source(), Pairs(strange), replace(PLAN, epochs=1))
    assert found.report["steps"] == 1


def test_in_bf16_it_learns_too() -> None:
    found = train(tiny_source(), pairs(), replace(PLAN, precision="bfloat16"))
    assert found.report["precision"] == "bfloat16"
    assert found.report["best_dev_loss"] < 0.4


def test_a_device_that_is_not_there_names_the_cure() -> None:
    if import_module("torch").cuda.is_available():
        pytest.skip("platform: there is a CUDA device")
    with pytest.raises(InputError, match="Choose auto or cpu"):
        train(tiny_source(), pairs(), replace(PLAN, device="cuda"))


def test_more_tokens_than_the_model_has_places_are_refused() -> None:
    with pytest.raises(InputError, match="Lower max_tokens"):
        train(tiny_source(), pairs(), replace(PLAN, max_tokens=65))


def test_it_begins_as_the_cosine_that_the_encoder_knows() -> None:
    from predator.learning.pair_network import SCALE, beginning

    torch = import_module("torch")
    weights = beginning(tiny_source().shape, parse_weights(tiny_source()))
    types = weights["embeddings.token_type_embeddings.weight"]
    np.testing.assert_array_equal(types[0], types[1])
    tensors = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
    alike, other = (TokenPair([5, 6, *ids], 2) for ids in ([5, 6], [20, 30]))
    found = logits(torch, tiny_source().shape, tensors, [alike, other]).numpy()
    assert (np.abs(found) <= SCALE).all()
    assert found[0] > found[1]


def test_the_report_is_plain_json(tuned: Tuned) -> None:
    told = json.loads(export(tuned)[cross_encoder.REPORT])
    assert told["device"] == "cpu"
    assert told["pairs_per_s"] > 0

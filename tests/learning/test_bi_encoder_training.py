"""A tiny encoder learns, stops, resumes and refuses as the real one does."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predator.domain.errors import PredatorError
from predator.learning import bi_encoder_objective
from predator.learning.bert import Tokens, embed, embed_all
from predator.learning.bi_encoder import BiEncoder, Plan, read_parts, source_of, train
from predator.learning.lessons import Lessons
from predator.learning.torch_runtime import load_torch
from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.encoder.source import parse_weights
from tests.learning.letters import letter_lessons
from tests.search.encoder.tiny import tiny_folder

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore"),  # the warnings of torch and its kin are not ours
]

PLAN = Plan(
    loss="info_nce", seed=3, epochs=4, batch=32, learning_rate=3e-3, max_tokens=16, device="cpu"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return read_parts(tiny_folder(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def lessons() -> Lessons:
    return letter_lessons(400, 60)


@pytest.fixture(scope="module")
def tuned(model: dict[str, bytes], lessons: Lessons) -> BiEncoder:
    return train(model, lessons, PLAN)


def test_the_torch_model_is_the_one_that_serves(model: dict[str, bytes], tmp_path: Path) -> None:
    torch = load_torch(1, 0)
    source = source_of(model)
    weights = {name: torch.from_numpy(value) for name, value in parse_weights(source).items()}
    texts = ["read table", "a b c d e f g h", "", "search"]
    tokens = Tokens(source.tokenizer, 16, source.shape.vocabulary)
    got = embed_all(torch, source.shape, weights, tokens(texts))
    folder = BiEncoder(model, {}).write(tmp_path / "model")
    files = prepare_encoder(folder, tmp_path / "cache", max_tokens=16, int8=False)
    np.testing.assert_allclose(got, OnnxEncoder(files).encode(texts), atol=1e-5)


def test_tuning_finds_answers_to_held_out_questions_that_the_original_missed(
    tuned: BiEncoder, tmp_path: Path
) -> None:
    scores = tuned.report["dev_ndcg_at_10"]
    assert tuned.report["mix"] > 0
    assert max(scores.values()) > scores["0.0"] + 0.2
    assert len(tuned.report["dev_before"]) == len(tuned.report["dev_after"]) == 60
    assert tuned.report["pairs_per_s"] > 0
    assert tuned.export(tmp_path, max_tokens=16).dim == 32


def test_word_tables_stay_where_they_were(tuned: BiEncoder, model: dict[str, bytes]) -> None:
    before, after = parse_weights(source_of(model)), parse_weights(source_of(tuned.files))
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {name for name in before if not name.startswith("embeddings.")}


def test_the_same_seed_gives_the_same_bytes(
    tuned: BiEncoder, model: dict[str, bytes], lessons: Lessons
) -> None:
    assert train(model, lessons, PLAN).files == tuned.files
    other = train(model, lessons, replace(PLAN, seed=4))
    assert other.files["model.safetensors"] != tuned.files["model.safetensors"]


class Killed(BaseException):
    """Nothing that the training could catch."""


def test_a_training_that_was_killed_goes_on_and_gives_the_same_bytes(
    tuned: BiEncoder, model: dict[str, bytes], lessons: Lessons, tmp_path: Path
) -> None:
    seen: list[int] = []

    def killing(what: str, done: int, _total: int) -> None:
        if what.startswith("tuning"):
            seen.append(done)
            if done == 30:
                raise Killed

    with pytest.raises(Killed):
        train(model, lessons, PLAN, report=killing, checkpoints=tmp_path / "checkpoint")
    assert list((tmp_path / "checkpoint").glob("*.safetensors"))
    again: list[int] = []
    resumed = train(
        model,
        lessons,
        PLAN,
        report=lambda what, done, _total: again.append(done) if "tuning" in what else None,
        checkpoints=tmp_path / "checkpoint",
    )
    assert 1 < again[0] <= 30
    assert resumed.files == tuned.files
    assert not (tmp_path / "checkpoint").exists()


def test_margins_of_a_teacher_are_learnt_without_any_judgment(
    model: dict[str, bytes], lessons: Lessons
) -> None:
    # In a unit of the teacher's own, a thousand times the model's.
    graded = replace(
        lessons,
        train=[replace(one, margins=tuple(4000.0 for _ in one.negatives)) for one in lessons.train],
    )
    got = train(model, graded, replace(PLAN, loss="margin_mse"))
    assert got.report["mix"] > 0
    assert max(got.report["dev_ndcg_at_10"].values()) > got.report["dev_ndcg_at_10"]["0.0"] + 0.1


def test_where_nothing_is_better_the_original_comes_back_untouched(
    model: dict[str, bytes], lessons: Lessons
) -> None:
    got = train(model, lessons, replace(PLAN, learning_rate=1e-12, epochs=1))
    assert got.is_original
    assert got.files == model
    assert got.report["ended"] in {"no gain on held-out questions", "all steps"}


def test_the_budget_ends_it_early_with_a_model_all_the_same(
    model: dict[str, bytes], lessons: Lessons
) -> None:
    got = train(model, lessons, replace(PLAN, budget_s=2.0, epochs=10_000))
    assert got.report["steps"] < got.report["planned_steps"] or got.report["steps"] < 10_000
    assert got.report["elapsed_s"] < 20


def test_a_loss_that_is_no_number_ends_it_with_a_cure(
    model: dict[str, bytes], lessons: Lessons
) -> None:
    with pytest.raises(PredatorError, match="learning rate"):
        train(model, lessons, replace(PLAN, scale=1e8, learning_rate=1e8, patience=1000))


def test_a_document_of_100k_words_and_an_empty_one_are_learnt_from(
    model: dict[str, bytes], lessons: Lessons
) -> None:
    texts = [*lessons.texts]
    texts[0], texts[1] = "a " * 100_000, ""
    got = train(model, replace(lessons, texts=texts), replace(PLAN, epochs=1))
    assert math.isfinite(got.report["history"][-1]["loss"])


@pytest.mark.parametrize("fits", [8, 1])
def test_a_batch_that_does_not_fit_is_halved_until_it_does_or_cannot(
    model: dict[str, bytes], lessons: Lessons, fits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starving(torch: Any, shape: Any, weights: Mapping[str, Any], ids: list[list[int]]) -> Any:
        if len(ids) > 3 * fits:
            raise RuntimeError("CUDA out of memory. Tried to allocate 1 TiB")
        return embed(torch, shape, weights, ids)

    monkeypatch.setattr(bi_encoder_objective, "embed", starving)
    if fits == 1:
        with pytest.raises(MemoryError, match="does not fit"):
            train(model, lessons, replace(PLAN, epochs=1))
    else:
        got = train(model, lessons, replace(PLAN, epochs=1))
        assert got.report["batch"] == 8

"""The bi-encoder stands in a portfolio like any other trainable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning.bi_encoder import BiEncoder, Plan, read_parts
from predator.learning.bi_encoder_trainable import BiEncoderTrainable
from predator.learning.trainable import Trainable, TrainingSet
from predator.search.serving.spaces import embedding_text
from tests.learning.worlds import World, world
from tests.search.encoder.tiny import tiny_folder

LIVE = RetrievalParameters(fusion="zsum")


def silent(_what: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def small() -> World:
    return world(24, depth=8)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return read_parts(tiny_folder(tmp_path_factory.mktemp("tiny")))


def data_of(found: World, retrieval: RetrievalParameters = LIVE) -> TrainingSet:
    return TrainingSet(
        found.index, found.examples, found.judgments, found.clusters, base=LIVE, retrieval=retrieval
    )


@pytest.fixture(scope="module")
def trainable(
    parts: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> BiEncoderTrainable:
    plan = Plan(loss="info_nce", seed=0, epochs=1, batch=8, max_tokens=16, device="cpu")
    return BiEncoderTrainable(parts, plan, tmp_path_factory.mktemp("cache"), max_tokens=32)


def test_it_orders_an_examples_candidates_by_the_tuned_encoders_cosine(
    trainable: BiEncoderTrainable, small: World, parts: dict[str, bytes]
) -> None:
    same: Trainable[BiEncoder] = trainable
    model = same.load(same.save(BiEncoder(parts, {"mix": 0.5})))
    example = small.examples[0]
    dense = data_of(small, RetrievalParameters(fusion="dense"))
    ranked = same.score(model, dense, example)
    assert sorted(ranked.rows.tolist()) == sorted(example.found.rows.tolist())
    encoder = trainable._vectors(model).encoder
    texts = [embedding_text(small.index.documents[row]) for row in ranked.rows.tolist()]
    cosines = encoder.encode(texts) @ encoder.encode_query(example.query.text)
    assert (np.diff(cosines) <= 1e-6).all()
    np.testing.assert_allclose(ranked.scores, cosines, atol=1e-5)


def test_it_says_what_each_word_of_the_query_adds_for_each_candidate(
    trainable: BiEncoderTrainable, small: World, parts: dict[str, bytes]
) -> None:
    example = small.examples[0]
    found = trainable.explain(BiEncoder(parts, {"mix": 0.5}), data_of(small), example)
    assert list(found.names) == example.query.text.split()
    assert found.values.shape == (len(example.found.rows), len(found.names))
    assert np.isfinite(found.values).all()


def test_without_generated_queries_there_is_nothing_to_learn_from_them(
    parts: dict[str, bytes], small: World, tmp_path: Path
) -> None:
    plan = Plan(loss="margin_mse", seed=0)
    trainable = BiEncoderTrainable(parts, plan, tmp_path, max_tokens=32, generated=True)
    assert trainable.name == "bi_encoder+generated"
    with pytest.raises(InputError, match="too few"):
        trainable.train(data_of(small), silent)


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_it_learns_from_judged_candidates_and_tells_how_far_it_is(
    trainable: BiEncoderTrainable, small: World
) -> None:
    told: list[str] = []
    model = trainable.train(data_of(small), lambda what, _done, _total: told.append(what))
    assert model.report["teacher"] == "fused (zsum)"
    assert model.report["held_out_questions"] > 0
    assert any(what.startswith("tuning") for what in told)

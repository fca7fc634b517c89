"""The graph against BERT written down once more, in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from predator.search.encoder.graph import build_graph, build_pair_graph
from tests.search.encoder.tiny import SHAPE, tiny_weights
from tests.search.pair_models import pair_weights

Array = NDArray[np.float64]
WEIGHTS = tiny_weights()
RNG = np.random.default_rng(1)


def hidden_states(ids: NDArray[np.int64], segments: NDArray[np.int64]) -> Array:
    """The last layer over one text, in double precision."""
    w = {name: value.astype(np.float64) for name, value in WEIGHTS.items()}

    def norm(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(x.var(-1, keepdims=True) + SHAPE.epsilon)
        return np.asarray(scaled * w[f"{name}.weight"] + w[f"{name}.bias"])

    def linear(x: Array, name: str) -> Array:
        return np.asarray(x @ w[f"{name}.weight"].T + w[f"{name}.bias"])

    def split(x: Array) -> Array:
        return x.reshape(len(ids), SHAPE.heads, -1).transpose(1, 0, 2)

    e = "embeddings"
    x = w[f"{e}.word_embeddings.weight"][ids]
    x = x + w[f"{e}.position_embeddings.weight"][: len(ids)]
    x = norm(x + w[f"{e}.token_type_embeddings.weight"][segments], f"{e}.LayerNorm")
    for layer in range(SHAPE.layers):
        p = f"encoder.layer.{layer}"
        q, k, v = (split(linear(x, f"{p}.attention.self.{n}")) for n in ("query", "key", "value"))
        scores = np.exp(q @ k.transpose(0, 2, 1) / np.sqrt(SHAPE.hidden / SHAPE.heads))
        context = scores / scores.sum(-1, keepdims=True) @ v
        context = context.transpose(1, 0, 2).reshape(len(ids), -1)
        x = norm(
            linear(context, f"{p}.attention.output.dense") + x, f"{p}.attention.output.LayerNorm"
        )
        inner = linear(x, f"{p}.intermediate.dense")
        inner = inner * (1 + erf(inner / np.sqrt(2))) / 2
        x = norm(linear(inner, f"{p}.output.dense") + x, f"{p}.output.LayerNorm")
    return x


def reference(ids: NDArray[np.int64]) -> Array:
    """The embedding of one text."""
    mean = hidden_states(ids, np.zeros_like(ids)).mean(0)
    return np.asarray(mean / np.linalg.norm(mean))


def pair_reference(ids: NDArray[np.int64], segments: NDArray[np.int64]) -> float:
    """The logit of one pair."""
    w = {name: value.astype(np.float64) for name, value in pair_weights().items()}
    x = hidden_states(ids, segments)
    query, document = (x[segments == part].sum(0) for part in (0, 1))
    cosine = query * document / np.linalg.norm(query) / np.linalg.norm(document)
    return float((cosine @ w["head.weight"] + w["head.bias"])[0])


@pytest.fixture(scope="module")
def session() -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(build_graph(SHAPE, WEIGHTS).SerializeToString())


def run(session: Any, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
    return result


@pytest.mark.parametrize("length", [1, 2, 17, SHAPE.positions])
def test_the_graph_is_bert(session: Any, length: int) -> None:
    ids = RNG.integers(0, SHAPE.vocabulary, length)
    got = run(session, ids[None], np.ones((1, length), np.int64))
    assert got.shape == (1, SHAPE.hidden)
    np.testing.assert_allclose(got[0], reference(ids), atol=2e-5)


def test_padding_changes_nothing(session: Any) -> None:
    texts = [RNG.integers(0, SHAPE.vocabulary, n) for n in (1, 5, 30)]
    ids = np.zeros((3, 30), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, 1
        ids[row, len(text) :] = RNG.integers(0, SHAPE.vocabulary, 30 - len(text))
    for got, text in zip(run(session, ids, mask), texts, strict=True):
        np.testing.assert_allclose(got, reference(text), atol=2e-5)


def test_a_text_of_nothing_but_padding_gives_numbers(session: Any) -> None:
    got = run(session, np.zeros((1, 4), np.int64), np.zeros((1, 4), np.int64))
    assert np.isfinite(got).all()


def test_the_graph_of_a_pair_is_bert_with_two_segments_and_a_logit() -> None:
    import onnxruntime

    graph = build_pair_graph(SHAPE, pair_weights())
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    texts = [RNG.integers(0, SHAPE.vocabulary, n) for n in (3, 9, SHAPE.positions)]
    ids = np.zeros((3, SHAPE.positions), np.int64)
    mask, segments = np.zeros_like(ids), np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, : len(text)], mask[row, : len(text)] = text, 1
        segments[row, len(text) // 2 : len(text)] = 1
    feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
    wanted = [
        pair_reference(text, kinds[: len(text)])
        for text, kinds in zip(texts, segments, strict=True)
    ]
    got = session.run(None, feeds)[0]
    assert got.shape == (3,)
    np.testing.assert_allclose(got, wanted, atol=2e-5)


def test_the_graph_is_valid_and_built_the_same_every_time() -> None:
    import onnx

    first, second = (build_graph(SHAPE, tiny_weights()) for _ in range(2))
    onnx.checker.check_model(first)
    assert first.SerializeToString() == second.SerializeToString()

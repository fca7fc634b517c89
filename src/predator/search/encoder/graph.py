"""BERT as one ONNX graph, built without torch: with mean pooling and L2 normalisation a sentence
encoder, with two means that are compared a cross-encoder.

Attention and the bias of the GELU are ONNX Runtime's fused operators (``com.microsoft``): they
quantise to fewer, larger integer kernels. Everything else is plain ONNX.
Source: Devlin et al. 2019 (BERT), Reimers and Gurevych 2019 (mean pooling), Nogueira and Cho 2019
(query and document read together).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Weights = Mapping[str, NDArray[np.float32]]

OPSET = 18
IR_VERSION = 9
FUSED = "com.microsoft"


@dataclass(frozen=True, slots=True)
class BertShape:
    """What decides the graph beside the weights."""

    vocabulary: int
    positions: int
    token_types: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    epsilon: float

    def tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of every weight that the graph needs."""
        hidden, inner = self.hidden, self.intermediate
        yield "embeddings.word_embeddings.weight", (self.vocabulary, hidden)
        yield "embeddings.position_embeddings.weight", (self.positions, hidden)
        yield "embeddings.token_type_embeddings.weight", (self.token_types, hidden)
        yield from _pair("embeddings.LayerNorm", (hidden,), hidden)
        for layer in range(self.layers):
            prefix = f"encoder.layer.{layer}"
            for part in ("query", "key", "value"):
                yield from _pair(f"{prefix}.attention.self.{part}", (hidden, hidden), hidden)
            yield from _pair(f"{prefix}.attention.output.dense", (hidden, hidden), hidden)
            yield from _pair(f"{prefix}.attention.output.LayerNorm", (hidden,), hidden)
            yield from _pair(f"{prefix}.intermediate.dense", (inner, hidden), inner)
            yield from _pair(f"{prefix}.output.dense", (hidden, inner), hidden)
            yield from _pair(f"{prefix}.output.LayerNorm", (hidden,), hidden)

    def head(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Name and shape of what a cross-encoder has on top."""
        yield from _pair("head", (self.hidden, 1), 1)

    def parameters(self) -> int:
        """How many numbers the weights without the head hold."""
        return sum(int(np.prod(shape)) for _, shape in self.tensors())


def _pair(name: str, weight: tuple[int, ...], bias: int) -> list[tuple[str, tuple[int, ...]]]:
    return [(f"{name}.weight", weight), (f"{name}.bias", (bias,))]


def build_graph(shape: BertShape, weights: Weights) -> Any:
    """The ``onnx.ModelProto``: (``input_ids``, ``attention_mask``: int64 [batch, seq]) →
    ``embedding``: float32 [batch, hidden], rows of unit length.

    ``weights`` holds at least ``shape.tensors()``.
    """
    from onnx import TensorProto

    graph = _Graph(weights, shape.epsilon)
    x = _encode(graph, shape)
    # The direction of the mean is that of the sum, so pooling is one product with the mask.
    row = graph.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    row = graph.node("Unsqueeze", row, graph.integers(1))
    total = graph.node("Squeeze", graph.node("MatMul", row, x), graph.integers(1))
    graph.node("LpNormalization", total, output="embedding", axis=-1, p=2)

    return _model(graph, "sentence_encoder", _TEXT, ["batch", shape.hidden])


def build_pair_graph(shape: BertShape, weights: Weights) -> Any:
    """The ``onnx.ModelProto`` of a cross-encoder: (``input_ids``, ``attention_mask``,
    ``token_type_ids``: int64 [batch, seq]) → ``logit``: float32 [batch], higher is more relevant.

    The logit is a weighted cosine of the two segments' means, each over tokens that have seen the
    other segment: Σ head.weight · û · v̂ + head.bias. ``weights`` holds at least
    ``shape.tensors()`` and ``shape.head()``; there are two segments.
    """
    from onnx import TensorProto

    graph = _Graph(weights, shape.epsilon)
    x = _encode(graph, shape, segments=True)
    mask, types = (
        graph.node("Cast", name, to=TensorProto.FLOAT) for name in ("attention_mask", _SEGMENT)
    )
    document = graph.node("Mul", mask, types)
    means = []
    for part in (graph.node("Sub", mask, document), document):
        total = graph.node("MatMul", graph.node("Unsqueeze", part, graph.integers(1)), x)
        means.append(graph.node("LpNormalization", total, axis=-1, p=2))
    product = graph.node("MatMul", graph.node("Mul", *means), graph.weight("head.weight"))
    logit = graph.node("Add", product, graph.weight("head.bias"))
    graph.node("Squeeze", logit, graph.integers(1, 2), output="logit")
    return _model(graph, "cross_encoder", (*_TEXT, _SEGMENT), ["batch"])


_TEXT, _SEGMENT = ("input_ids", "attention_mask"), "token_type_ids"


def _model(graph: _Graph, name: str, inputs: Sequence[str], output: Sequence[str | int]) -> Any:
    """The model of a graph whose last node makes its output of shape ``output``."""
    from onnx import TensorProto, helper

    last = graph.nodes[-1].output[0]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            name,
            [helper.make_tensor_value_info(i, TensorProto.INT64, ["batch", "seq"]) for i in inputs],
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, list(output))],
            graph.initializers,
            value_info=graph.types,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(FUSED, 1)],
        ir_version=IR_VERSION,
    )
    # The quantiser would otherwise advise its own clean-up pass, which has nothing to do here.
    helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    return model


def _encode(graph: _Graph, shape: BertShape, *, segments: bool = False) -> str:
    from onnx import TensorProto

    mask = graph.node("Cast", "attention_mask", to=TensorProto.INT32)
    x = _embed(graph, segments=segments)
    for layer in range(shape.layers):
        x = _layer(graph, f"encoder.layer.{layer}", x, mask, shape.heads)
    return x


def _embed(graph: _Graph, *, segments: bool) -> str:
    words = graph.node("Gather", graph.weight("embeddings.word_embeddings.weight"), "input_ids")
    # One text, one segment: its row joins the positions. Slice, not Gather over a Range, which
    # ONNX Runtime's optimiser rewrites wrongly.
    types = graph.weights["embeddings.token_type_embeddings.weight"]
    table = graph.weights["embeddings.position_embeddings.weight"] + types[0]
    length = graph.node("Shape", "input_ids", start=1, end=2)
    zero = graph.integers(0)
    positions = graph.node("Slice", graph.constant("positions", table), zero, length, zero)
    total = graph.node("Add", words, positions)
    if segments:  # the first segment's row is in the positions already
        rows = graph.constant("segments", types - types[0])
        total = graph.node("Add", total, graph.node("Gather", rows, "token_type_ids"))
    return graph.norm(total, "embeddings.LayerNorm")


def _layer(graph: _Graph, prefix: str, x: str, mask: str, heads: int) -> str:
    attention = f"{prefix}.attention"
    parts = [f"{attention}.self.{part}" for part in ("query", "key", "value")]
    weight = np.concatenate([graph.weights[f"{part}.weight"] for part in parts]).T
    bias = np.concatenate([graph.weights[f"{part}.bias"] for part in parts])
    context = graph.node(
        "Attention",
        x,
        graph.constant(f"{attention}.qkv.weight", weight),
        graph.constant(f"{attention}.qkv.bias", bias),
        mask,
        domain=FUSED,
        num_heads=heads,
    )
    mixed = graph.linear(context, f"{attention}.output.dense")
    x = graph.norm(graph.node("Add", mixed, x), f"{attention}.output.LayerNorm")
    inner = f"{prefix}.intermediate.dense"
    product = graph.node("MatMul", x, graph.transposed(inner))
    active = graph.node("BiasGelu", product, graph.weight(f"{inner}.bias"), domain=FUSED)
    out = graph.linear(active, f"{prefix}.output.dense")
    return graph.norm(graph.node("Add", out, x), f"{prefix}.output.LayerNorm")


class _Graph:
    """Nodes and constants as they are made; every call returns the name of its result."""

    def __init__(self, weights: Weights, epsilon: float) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.types: list[Any] = []
        self._epsilon = epsilon

    def node(
        self, kind: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any
    ) -> str:
        from onnx import TensorProto, helper

        name = f"{kind}_{len(self.nodes)}"
        result = output or f"{name}_out"
        if domain == FUSED:  # shape inference does not know these, and stops where they stand
            self.types.append(helper.make_tensor_value_info(result, TensorProto.FLOAT, None))
        self.nodes.append(
            helper.make_node(kind, inputs, [result], name=name, domain=domain, **attributes)
        )
        return result

    def constant(self, name: str, value: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def integers(self, *values: int) -> str:
        return self.constant(f"integers_{len(self.initializers)}", np.array(values, np.int64))

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def transposed(self, name: str) -> str:
        return self.constant(f"{name}.weight", self.weights[f"{name}.weight"].T)

    def linear(self, x: str, name: str) -> str:
        product = self.node("MatMul", x, self.transposed(name))
        return self.node("Add", product, self.weight(f"{name}.bias"))

    def norm(self, x: str, name: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=self._epsilon)

"""Exports a trained cross-encoder: build → quantise → check → files by hash. Needs no torch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.search.cross_encoder import CrossEncoder
from predator.search.cross_encoder_files import MANIFEST, MODEL, TOKENIZER, Manifest, Part
from predator.search.encoder.graph import BertShape, build_pair_graph

CORRELATION_MIN = 0.95
"""Rank correlation of int8 to float32 below which an order would be another one."""
LEAST_PROBES = 20
PROBES = tuple(
    product(
        (
            "singular value decomposition of a matrix",
            "read a csv file",
            "how does search find documents",
            "open a network connection with a time limit",
            "Я шукаю документ",
        ),
        (
            "Search finds documents by meaning.",
            "numpy.linalg.svd. Singular Value Decomposition.",
            "Read a comma-separated values (csv) file into DataFrame, with optional iteration.",
            "Connect to address and return the socket object, or raise after timeout seconds.",
        ),
    )
)

Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Exported:
    """A cross-encoder's files by name, and what quantising cost.

    ``rank_correlation`` (Spearman) is that of int8 to float32 logits over the probes, ``error``
    their root mean square difference as a share of the logits' standard deviation.
    """

    files: Mapping[str, bytes]
    rank_correlation: float
    error: float

    @property
    def manifest(self) -> Manifest:
        return Manifest.read(self.files[MANIFEST])

    @property
    def encoder(self) -> CrossEncoder:
        """The same, loaded."""
        return CrossEncoder(self.manifest, self.files[MODEL], self.files[TOKENIZER])


def export_cross_encoder(
    shape: BertShape,
    weights: Mapping[str, NDArray[np.float32]],
    tokenizer: bytes,
    *,
    max_tokens: int,
    max_query_tokens: int,
    probes: Pairs = PROBES,
) -> Exported:
    """The files of the cross-encoder with these ``weights``, quantised to int8 a channel.

    ``probes`` are pairs that the model should tell apart, twenty at least. ``InputError`` where
    weights are missing or no numbers, the tokenizer belongs to another model, or int8 would
    change the order of the probes.
    """
    _check_weights(shape, weights)
    if max_tokens > shape.positions:
        raise InputError(f"max_tokens is {max_tokens}", cure=f"Choose at most {shape.positions}")
    if len(probes) < LEAST_PROBES:
        raise InputError(f"{len(probes)} pairs do not show what int8 costs", cure="Give 20 or more")
    graph = build_pair_graph(shape, weights)

    def files(model: bytes) -> dict[str, bytes]:
        manifest = Manifest(Part.of(model), Part.of(tokenizer), max_tokens, max_query_tokens)
        return {MANIFEST: manifest.to_bytes(), MODEL: model, TOKENIZER: tokenizer}

    exact = Exported(files(graph.SerializeToString()), 1.0, 0.0)
    if exact.encoder.tokens.largest_token_id >= shape.vocabulary:
        raise InputError(
            f"the tokenizer knows token {exact.encoder.tokens.largest_token_id}, "
            f"the model has {shape.vocabulary}",
            cure="Give the tokenizer that belongs to the model",
        )
    small = files(_quantised(graph))
    return Exported(small, *_fidelity(exact.encoder, Exported(small, 0.0, 0.0).encoder, probes))


def _quantised(graph: Any) -> bytes:
    """Weights to int8 a channel; the head stays exact, it is small and everything hangs on it."""
    from onnxruntime.quantization import quantize_dynamic

    head = [
        node.name
        for node in graph.graph.node
        if any(name.startswith("head.") for name in node.input)
    ]
    with tempfile.TemporaryDirectory(prefix="predator-") as folder:
        path = Path(folder) / MODEL
        quantize_dynamic(graph, path, per_channel=True, nodes_to_exclude=head)
        return path.read_bytes()


def _fidelity(exact: CrossEncoder, small: CrossEncoder, probes: Pairs) -> tuple[float, float]:
    from scipy.stats import rankdata

    wanted, got = (
        np.concatenate([one.score(query, [document]) for query, document in probes])
        for one in (exact, small)
    )
    if not (np.isfinite(wanted).all() and np.isfinite(got).all()):
        raise InputError("the cross-encoder's scores are no numbers", cure="train it again")
    spread = float(wanted.std())
    if spread < 1e-6:
        raise InputError(
            "the cross-encoder gives every pair the same score", cure="train it on more pairs"
        )
    correlation = float(np.corrcoef(rankdata(wanted), rankdata(got))[0, 1])
    if not correlation >= CORRELATION_MIN:
        raise InputError(
            f"int8 keeps only a rank correlation of {correlation:.3f} to float32",
            cure="Train longer, or from a model that bears quantising",
        )
    return correlation, float(np.sqrt(np.mean((wanted - got) ** 2))) / spread


def _check_weights(shape: BertShape, weights: Mapping[str, NDArray[np.float32]]) -> None:
    for name, wanted in (*shape.tensors(), *shape.head()):
        tensor = weights.get(name)
        if tensor is None or tensor.shape != wanted or tensor.dtype != np.float32:
            found = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise InputError(f"the weight {name} is {found}, not float32 {list(wanted)}")
        if not np.isfinite(tensor).all():
            raise InputError(f"the weight {name} holds NaN or infinity")

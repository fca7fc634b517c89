"""Reads a sentence-transformers folder as what it is: bytes from a stranger.

Every file is opened once, without following links, bounded in size; what is hashed is what is
parsed. Only safetensors hold weights: a pickle can run code.
"""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.canonical import sha256_hex
from predator.domain.errors import InputError
from predator.search.encoder.graph import BertShape

WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
PICKLES = {".bin", ".pt", ".pth", ".pkl", ".ckpt"}

MAX_CONFIG_BYTES = 1 << 20
MAX_TOKENIZER_BYTES = 64 << 20
MAX_PARAMETERS = 400_000_000
"""More does not fit into one ONNX file (2 GB)."""
SPARE_BYTES = 64 << 20
"""Room for what a file may hold beside the graph's weights: the pooler, buffers, the header."""

_SIZES = {
    "vocabulary": ("vocab_size", 1_000_000),
    "positions": ("max_position_embeddings", 16_384),
    "token_types": ("type_vocab_size", 16),
    "hidden": ("hidden_size", 4096),
    "intermediate": ("intermediate_size", 16_384),
    "layers": ("num_hidden_layers", 48),
    "heads": ("num_attention_heads", 64),
}
_BERT = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}


@dataclass(frozen=True, slots=True)
class Source:
    """A model folder, read: weights and tokenizer as bytes, and the shape they must have."""

    shape: BertShape
    weights: bytes
    tokenizer: bytes

    @property
    def hashes(self) -> dict[str, str]:
        """SHA-256 of the parts, by file name."""
        return {WEIGHTS: sha256_hex(self.weights), TOKENIZER: sha256_hex(self.tokenizer)}


def read_source(folder: Path) -> Source:
    """The folder's parts; ``InputError`` where it is not a BERT encoder with mean pooling."""
    if not folder.is_dir():
        raise InputError(
            f"there is no model folder {folder}",
            cure="Give a folder saved by sentence-transformers",
        )
    shape = _shape(folder)
    _check_modules(folder)
    if not (folder / WEIGHTS).exists():
        pickles = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
        held = f", and {pickles[0]} is a pickle, which can run code" if pickles else ""
        raise InputError(f"{folder} holds no {WEIGHTS}{held}", cure="Save it as safetensors")
    size = shape.parameters()
    return Source(
        shape,
        read_bounded(folder / WEIGHTS, most=4 * size + SPARE_BYTES, least=2 * size),
        read_bounded(folder / TOKENIZER, most=MAX_TOKENIZER_BYTES),
    )


def parse_weights(source: Source) -> dict[str, NDArray[np.float32]]:
    """The graph's weights as float32; ``InputError`` where one is missing, misshapen or NaN."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(source.weights)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{WEIGHTS} cannot be read: {error}") from None
    weights = {}
    for name, shape in source.shape.tensors():
        tensor = tensors.get(name)
        if tensor is None or tensor.shape != shape or tensor.dtype.kind != "f":
            found = "missing" if tensor is None else f"{tensor.dtype} {list(tensor.shape)}"
            raise InputError(
                f"{WEIGHTS}: {name} is {found}, config.json promises float {list(shape)}"
            )
        if not np.isfinite(tensor).all():
            raise InputError(f"{WEIGHTS}: {name} holds NaN or infinity")
        weights[name] = tensor.astype(np.float32, copy=False)
    return weights


def read_bounded(path: Path, *, most: int, least: int = 1) -> bytes:
    """The bytes of a plain file of ``least`` to ``most`` bytes; ``InputError`` otherwise."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(
                f"{path} is a symbolic link", cure="Give a folder of plain files"
            ) from None
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    with os.fdopen(fd, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise InputError(f"{path} is not a plain file")
        if not least <= status.st_size <= most:
            raise InputError(
                f"{path} has {status.st_size} bytes where {least} to {most} are expected"
            )
        return file.read(most)


def _json(path: Path) -> Any:
    try:
        return json.loads(read_bounded(path, most=MAX_CONFIG_BYTES))
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON") from None


def _object(path: Path) -> Mapping[str, Any]:
    value = _json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path} is not a JSON object")
    return value


def _shape(folder: Path) -> BertShape:
    config = _object(folder / "config.json")
    found = {"position_embedding_type": "absolute", **config}  # newer releases leave it out
    for key, only in _BERT.items():
        if found.get(key) != only:
            raise InputError(
                f"{folder}: {key} is {found.get(key)!r}, only {only!r} can be built",
                cure="Give a BERT encoder such as all-MiniLM-L6-v2",
            )
    sizes: dict[str, int] = {}
    for name, (key, limit) in _SIZES.items():
        value = config.get(key)
        if type(value) is not int or not 1 <= value <= limit:
            raise InputError(f"{folder}: {key} is {value!r}, not a number from 1 to {limit}")
        sizes[name] = value
    epsilon = config.get("layer_norm_eps", 1e-12)
    if not isinstance(epsilon, float) or not (math.isfinite(epsilon) and 0 < epsilon < 1):
        raise InputError(f"{folder}: layer_norm_eps is {epsilon!r}")
    if sizes["hidden"] % sizes["heads"]:
        raise InputError(f"{folder}: hidden_size is no multiple of num_attention_heads")
    shape = BertShape(**sizes, epsilon=epsilon)
    if shape.parameters() > MAX_PARAMETERS:
        raise InputError(
            f"{folder}: {shape.parameters()} parameters are too many (most: {MAX_PARAMETERS})"
        )
    return shape


def _check_modules(folder: Path) -> None:
    modules = _json(folder / "modules.json")
    try:
        kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
        places = [str(module["path"]) for module in modules]
    except (TypeError, KeyError):
        raise InputError(f"{folder / 'modules.json'} is not a list of modules") from None
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise InputError(f"{folder} chains {' → '.join(kinds)}, only mean pooling can be built")
    if places[0] or "/" in places[1] or places[1].startswith("."):
        raise InputError(f"{folder / 'modules.json'} names unusual folders")
    pooling = _object(folder / places[1] / "config.json")
    # Older releases write one flag a mode, newer ones the name of the mode.
    flags = [name for name, on in pooling.items() if name.startswith("pooling_mode_") and on]
    mode = pooling.get("pooling_mode") or " + ".join(flags)
    if mode not in ("mean", "pooling_mode_mean_tokens"):
        raise InputError(f"{folder} pools by {mode or 'nothing'}, only the mean can be built")
    extras = folder / "config_sentence_transformers.json"
    if extras.exists() and _object(extras).get("default_prompt_name"):
        raise InputError(f"{folder} puts a prompt before every text, which cannot be built")

"""A BERT small enough to export in milliseconds, with random weights, and what breaks it."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.search.encoder.graph import BertShape

SHAPE = BertShape(
    vocabulary=80,
    positions=64,
    token_types=2,
    hidden=32,
    intermediate=64,
    layers=2,
    heads=4,
    epsilon=1e-12,
)
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
    "vocab_size": 80,
    "layer_norm_eps": 1e-12,
}
MODULES = [
    {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def tiny_weights(seed: int = 0) -> dict[str, NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in SHAPE.tensors():
        values = rng.normal(0, 0.2, shape)
        if name.endswith("LayerNorm.weight"):
            values += 1
        weights[name] = values.astype(np.float32)
    return weights


def tiny_tokenizer(extra: int = 0) -> str:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = [*SPECIAL, *string.ascii_lowercase, *(f"##{c}" for c in string.ascii_lowercase)]
    words += ["read", "table", "search", "file", *(f"extra{i}" for i in range(extra))]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    text: str = tokenizer.to_str()
    return text


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def tiny_folder(folder: Path, seed: int = 0) -> Path:
    """A sentence-transformers folder as that library writes it."""
    from safetensors.numpy import save_file

    write_json(folder / "config.json", CONFIG)
    write_json(folder / "modules.json", MODULES)
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode_mean_tokens": True})
    (folder / "tokenizer.json").write_text(tiny_tokenizer())
    save_file(tiny_weights(seed), folder / "model.safetensors")
    return folder

"""A model folder is a stranger's: whatever is in it, one clear line comes out or a model."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from predator.domain.errors import InputError
from predator.search.encoder.source import WEIGHTS, parse_weights, read_source
from tests.search.encoder.tiny import CONFIG, MODULES, tiny_folder, tiny_weights, write_json

WORD = "embeddings.word_embeddings.weight"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tiny_folder(tmp_path / "model")


def config(**changes: Any) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / "config.json", {**CONFIG, **changes})


def pooling(value: Any) -> Callable[[Path], None]:
    return lambda folder: write_json(folder / "1_Pooling" / "config.json", value)


def modules(*kinds: str) -> Callable[[Path], None]:
    value = [{"path": "" if k == "Transformer" else f"x_{k}", "type": f"a.b.{k}"} for k in kinds]
    return lambda folder: write_json(folder / "modules.json", value)


def weights(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = {**tiny_weights(), **changes}
        save_file({k: v for k, v in tensors.items() if v is not None}, folder / WEIGHTS)

    return change


def replaced(name: str, data: bytes | None) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        if data is not None:
            (folder / name).write_bytes(data)

    return change


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def linked(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")

    return change


def pipe(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    os.mkfifo(folder / WEIGHTS)


def sparse(folder: Path) -> None:
    os.truncate(folder / WEIGHTS, 100 << 30)


def prompted(folder: Path) -> None:
    write_json(folder / "config_sentence_transformers.json", {"default_prompt_name": "query"})


NAN = np.full((80, 32), np.nan, np.float32)
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "roberta": (config(model_type="roberta"), "only 'bert'"),
    "tanh gelu": (config(hidden_act="gelu_new"), "only 'gelu'"),
    "relative positions": (config(position_embedding_type="relative_key"), "only 'absolute'"),
    "layers as text": (config(num_hidden_layers="2"), "num_hidden_layers is '2'"),
    "layers as truth": (config(num_hidden_layers=True), "num_hidden_layers is True"),
    "no layers": (config(num_hidden_layers=0), "num_hidden_layers is 0"),
    "endless layers": (config(num_hidden_layers=10**9), "num_hidden_layers"),
    "odd heads": (config(num_attention_heads=5), "no multiple"),
    "epsilon": (config(layer_norm_eps=float("nan")), "layer_norm_eps"),
    "too large": (config(vocab_size=1_000_000, hidden_size=4096), "too many"),
    "config is a list": (replaced("config.json", b"[]"), "not a JSON object"),
    "config is no JSON": (replaced("config.json", b"\xff{"), "not JSON"),
    "config nests for ever": (replaced("config.json", b"[" * 500_000), "not JSON"),
    "config is huge": (replaced("config.json", b" " * (2 << 20)), "bytes"),
    "no config": (replaced("config.json", None), "cannot be read"),
    "no modules": (replaced("modules.json", None), "cannot be read"),
    "modules of what": (replaced("modules.json", b"[1]"), "not a list of modules"),
    "dense on top": (modules("Transformer", "Pooling", "Dense"), "Dense"),
    "no pooling": (modules("Transformer"), "only mean pooling"),
    "pooling elsewhere": (
        lambda f: write_json(f / "modules.json", [MODULES[0], {**MODULES[1], "path": "../.."}]),
        "unusual folders",
    ),
    "cls": (pooling({"pooling_mode_cls_token": True}), "pools by pooling_mode_cls_token"),
    "cls, new": (pooling({"pooling_mode": "cls"}), "pools by cls"),
    "cls and mean": (
        pooling({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}),
        "pooling_mode_cls_token",
    ),
    "no mode": (pooling({}), "pools by nothing"),
    "prompt": (prompted, "prompt"),
    "pickle": (pickled, "pytorch_model.bin is a pickle"),
    "no weights": (replaced(WEIGHTS, None), "holds no model.safetensors"),
    "linked weights": (linked(WEIGHTS), "symbolic link"),
    "linked tokenizer": (linked("tokenizer.json"), "symbolic link"),
    "pipe": (pipe, "not a plain file"),
    "100 GB": (sparse, "bytes"),
    "cut weights": (lambda f: os.truncate(f / WEIGHTS, 90_000), "cannot be read"),
    "nearly no weights": (lambda f: os.truncate(f / WEIGHTS, 100), "bytes"),
    "zip": (replaced(WEIGHTS, b"PK\3\4" + bytes(120_000)), "cannot be read"),
    "missing tensor": (weights(**{WORD: None}), "is missing"),
    "other shape": (weights(**{WORD: np.zeros((80, 16), np.float32)}), "promises"),
    "whole numbers": (weights(**{WORD: np.zeros((80, 32), np.int32)}), "promises"),
    "NaN": (weights(**{WORD: NAN}), "NaN"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_built_is_refused_in_one_line(folder: Path, case: str) -> None:
    change, message = BAD[case]
    change(folder)
    with pytest.raises(InputError) as caught:
        parse_weights(read_source(folder))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model folder"):
        read_source(tmp_path / "absent")


@pytest.mark.parametrize(
    "value",
    [
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False},
        {"pooling_mode": "mean", "embedding_dimension": 32, "include_prompt": True},
    ],
    ids=["flags", "named"],
)
def test_old_and_new_ways_to_say_mean_are_read(folder: Path, value: Any) -> None:
    pooling(value)(folder)
    assert read_source(folder).shape.hidden == 32


def test_half_precision_weights_are_widened(folder: Path) -> None:
    save_file({k: v.astype(np.float16) for k, v in tiny_weights().items()}, folder / WEIGHTS)
    assert parse_weights(read_source(folder))[WORD].dtype == np.float32


def test_a_mutated_file_is_a_model_or_an_error(folder: Path) -> None:
    rng = np.random.default_rng(0)
    whole = save(tiny_weights())
    (header,) = struct.unpack("<Q", whole[:8])
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.integers(0, header + 16, rng.integers(1, 4)):
            data[place] = rng.integers(0, 256)
        (folder / WEIGHTS).write_bytes(data)
        with suppress(InputError):
            parse_weights(read_source(folder))

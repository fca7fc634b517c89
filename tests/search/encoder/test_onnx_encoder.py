from __future__ import annotations

import inspect
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predator.domain.errors import IntegrityError
from predator.ports.encoder import Encoder
from predator.search.encoder.files import MODEL, TOKENIZER, EncoderFiles
from predator.search.encoder.onnx_encoder import OnnxEncoder
from tests.contracts.encoder import EncoderContract


def real_texts() -> list[str]:
    """First paragraphs and whole docstrings of numpy's functions."""
    docs = [inspect.getdoc(member) or "" for _, member in inspect.getmembers(np)]
    docs = [doc for doc in docs if len(doc) > 80]
    return [doc.split("\n\n")[0] for doc in docs[:20]] + docs[20:40]


class TestTinyEncoder(EncoderContract):
    @pytest.fixture
    def encoder(self, tiny: EncoderFiles) -> Encoder:
        return OnnxEncoder(tiny)


class TestMiniLM(EncoderContract):
    @pytest.fixture
    def encoder(self, minilm: EncoderFiles) -> Encoder:
        return OnnxEncoder(minilm)

    def test_what_means_the_same_lies_near(self, encoder: Encoder) -> None:
        documents = encoder.encode(
            [
                "Read a comma-separated values file into a table.",
                "Compute the inverse of a matrix.",
                "Send an HTTP request and return the response.",
            ]
        )
        asked = ["load csv data", "invert a square array", "fetch a web page"]
        best = [int(np.argmax(documents @ encoder.encode_query(text))) for text in asked]
        assert best == [0, 1, 2]

    def test_int8_stays_near_float32(self, encoder: Encoder, minilm_float32: EncoderFiles) -> None:
        texts = real_texts()
        exact = OnnxEncoder(minilm_float32).encode(texts)
        cosine = np.sum(exact * encoder.encode(texts), axis=1)
        assert cosine.min() >= 0.98
        assert cosine.mean() >= 0.99


def test_a_long_text_is_cut_to_its_first_tokens(tiny: EncoderFiles) -> None:
    encoder = OnnxEncoder(tiny)
    fits = " ".join(["read", "table"] * 15)  # 30 tokens, and the two that frame a text
    longer, other = f"{fits} search file", f"search {fits}"
    vectors = encoder.encode([fits, longer, other])
    np.testing.assert_array_equal(vectors[0], vectors[1])
    assert not np.array_equal(vectors[0], vectors[2])


def test_the_budget_of_tokens_is_part_of_the_identity(tiny: EncoderFiles) -> None:
    assert OnnxEncoder(tiny).digest != OnnxEncoder(replace(tiny, max_tokens=16)).digest


def test_a_repeated_query_is_encoded_once(
    tiny: EncoderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = OnnxEncoder(tiny)
    first = encoder.encode_query("read a table")
    monkeypatch.setattr(encoder, "_load", lambda: pytest.fail("encoded again"))
    assert encoder.encode_query("read a table") is first


def test_a_model_that_gives_no_number_gives_zeros(
    tiny: EncoderFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def run(self, _outputs: Any, _feeds: Any) -> list[Any]:
            return [np.full((1, 32), np.nan, np.float32)]

    encoder = OnnxEncoder(tiny)
    tokenizer, _ = encoder._load()
    monkeypatch.setattr(encoder, "_loaded", (tokenizer, Broken()))
    assert not encoder.encode(["read"]).any()


def test_making_one_reads_nothing(tmp_path: Path, tiny: EncoderFiles) -> None:
    absent = OnnxEncoder(replace(tiny, folder=tmp_path / "gone"))
    assert absent.dim == 32
    with pytest.raises(IntegrityError, match="cannot be read"):
        absent.encode(["read"])


@pytest.mark.parametrize("name", [MODEL, TOKENIZER])
@pytest.mark.parametrize("damage", ["flip", "cut", "grow"])
def test_a_broken_file_is_refused_before_it_is_parsed(
    tiny: EncoderFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, damage: str
) -> None:
    shutil.copytree(tiny.folder, tmp_path / "copy")
    path = tmp_path / "copy" / name
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    path.write_bytes(data[:-1] if damage == "cut" else data + (b"x" if damage == "grow" else b""))
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_a, **_k: pytest.fail("parsed"))
    with pytest.raises(IntegrityError, match=f"{name} is not the file that was exported"):
        OnnxEncoder(replace(tiny, folder=tmp_path / "copy")).encode(["read"])

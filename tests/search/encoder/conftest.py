from __future__ import annotations

from pathlib import Path

import pytest

from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.files import EncoderFiles
from tests.search.encoder.tiny import tiny_folder


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, not to be changed."""
    return tiny_folder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> EncoderFiles:
    """The tiny model, exported; not to be changed."""
    return prepare_encoder(model_folder, tmp_path_factory.mktemp("encoders"), max_tokens=32)


@pytest.fixture(scope="session")
def minilm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("minilm")


@pytest.fixture(scope="session")
def minilm(minilm_cache: Path) -> EncoderFiles:
    """all-MiniLM-L6-v2 as it serves: int8."""
    return prepare_encoder(None, minilm_cache)


@pytest.fixture(scope="session")
def minilm_float32(minilm_cache: Path) -> EncoderFiles:
    """all-MiniLM-L6-v2 before quantisation."""
    return prepare_encoder(None, minilm_cache, int8=False)

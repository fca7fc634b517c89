"""Every byte of a release in the object store: kept, verified, and brought back years later.

The digest of a release reaches all of them. It names its JSON, that names rules, reranker and
encoder, and the encoder's digest is the hash of a small JSON that names model and tokenizer. A
reranker that reads a cross-encoder names it in the same way.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from predator.domain.canonical import canonical_json
from predator.domain.errors import InputError, IntegrityError
from predator.domain.release import Release
from predator.locks import sync_folder
from predator.ports.object_store import ObjectStore
from predator.search.cross_encoder_files import Manifest, parts_of
from predator.search.encoder.files import (
    EXPORTER_VERSION,
    MANIFEST,
    MODEL,
    TOKENIZER,
    EncoderFiles,
    open_files,
)
from predator.search.rerank import parts_of_reranker

_INTEGER_PRODUCTS = frozenset({"MatMulInteger", "DynamicQuantizeLinear"})


def verify_bundle(objects: ObjectStore, digest: str) -> list[str]:
    """The parts of release ``digest`` that are missing or damaged, each with the reason.

    Reads and hashes every byte, 20 to 90 MB with the encoder. Empty: the release is whole.
    """
    return [f"{part} ({reason})" for part, reason in _faults(objects, digest)]


def keep_encoder(objects: ObjectStore, files: EncoderFiles) -> str:
    """Put an exported encoder into the store, once; returns its digest, which a release names.

    ``IntegrityError`` where the files are not what was exported.
    """
    objects.put(files.model())
    objects.put(files.tokenizer())
    identity = {
        "model": files.model_sha256,
        "tokenizer": files.tokenizer_sha256,
        "max_tokens": files.max_tokens,
        "exporter": EXPORTER_VERSION,
    }
    digest = objects.put(canonical_json(identity))
    if digest != files.digest:
        raise AssertionError("an encoder's digest is the sha256 of its identity's canonical JSON")
    return digest


def keep_exported(objects: ObjectStore, model: bytes, tokenizer: bytes, max_tokens: int) -> str:
    """As :func:`keep_encoder`, from the bytes of an ONNX model and its tokenizer.

    ``IntegrityError`` where the model is no encoder's graph.
    """
    _shape(model)
    identity = {
        "model": objects.put(model),
        "tokenizer": objects.put(tokenizer),
        "max_tokens": max_tokens,
        "exporter": EXPORTER_VERSION,
    }
    return objects.put(canonical_json(identity))


def restore_encoder(
    objects: ObjectStore, digest: str, folder: Path, *, anew: bool = False
) -> EncoderFiles:
    """The encoder ``digest`` as files in ``folder``, which appears whole or not at all.

    Does nothing where they lie there already. ``IntegrityError`` where the store holds no such
    encoder, or a damaged one; ``InputError`` where another version of the exporter made it, or
    where ``folder`` holds something else, unless ``anew`` lets that be replaced.
    """
    identity = _identity(objects.get(digest))
    if identity["exporter"] != EXPORTER_VERSION:
        raise InputError(
            f"encoder {digest[:12]} was exported by version {identity['exporter']!r:.20} of the "
            f"exporter, this Predator has version {EXPORTER_VERSION}",
            cure="Run it with the Predator of that time",
        )
    if folder.exists():
        found = open_files(folder, identity["max_tokens"])
        if found is not None and found.digest == digest:
            return found
        if anew:
            shutil.rmtree(folder)
        else:
            raise InputError(f"{folder} is not free for encoder {digest[:12]}", cure="Remove it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        files = _write(objects, identity, beside)
        beside.chmod(0o755)
        beside.rename(folder)
        sync_folder(folder.parent)
        return replace(files, folder=folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _faults(objects: ObjectStore, digest: str) -> Iterator[tuple[str, str]]:
    try:
        data = objects.get(digest)
    except IntegrityError as error:
        yield "release", error.cause
        return
    try:
        release = Release.from_json(json.loads(data))
        sound = release.digest == digest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        sound = False
    if not sound:
        yield "release", f"object {digest} is not a release"
        return
    yield from _fault(objects, "rules", release.rules)
    if release.reranker is not None:
        yield from _reranker_faults(objects, release.reranker)
    try:
        identity = _identity(objects.get(release.encoder))
    except IntegrityError as error:
        yield "encoder", error.cause
        return
    yield from _fault(objects, f"encoder {MODEL}", identity["model"])
    yield from _fault(objects, f"encoder {TOKENIZER}", identity["tokenizer"])


def _reranker_faults(objects: ObjectStore, digest: str) -> Iterator[tuple[str, str]]:
    """What is wrong with a reranker, and with the rankers that it reads."""
    try:
        named = parts_of_reranker(objects.get(digest))
    except (IntegrityError, InputError) as error:
        yield "reranker", error.cause
        return
    for one in named:
        try:
            manifest = Manifest.read(objects.get(one))
        except IntegrityError as error:
            yield "cross-encoder", error.cause
            continue
        for part, file in parts_of(manifest):
            yield from _fault(objects, f"cross-encoder {part}", file.sha256)


def _fault(objects: ObjectStore, part: str, digest: str) -> Iterator[tuple[str, str]]:
    try:
        objects.get(digest)
    except IntegrityError as error:
        yield part, error.cause


def _identity(data: bytes) -> dict[str, Any]:
    kinds = {"model": str, "tokenizer": str, "max_tokens": int, "exporter": int}
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if (
        not isinstance(found, dict)
        or found.keys() != kinds.keys()
        or any(type(found[name]) is not kind for name, kind in kinds.items())
    ):
        raise IntegrityError("the object of the encoder does not describe an encoder")
    return found


def _write(objects: ObjectStore, identity: dict[str, Any], folder: Path) -> EncoderFiles:
    model = objects.get(identity["model"])
    dim, int8 = _shape(model)
    files = EncoderFiles(
        folder, identity["model"], identity["tokenizer"], dim, identity["max_tokens"], int8
    )
    contents = (
        (MODEL, model),
        (TOKENIZER, objects.get(identity["tokenizer"])),
        (MANIFEST, files.manifest()),
    )
    for name, data in contents:
        with (folder / name).open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    sync_folder(folder)
    return files


def _shape(model: bytes) -> tuple[int, bool]:
    """Length of a vector, and whether the weights are integers, as the graph itself says."""
    from onnx import load_model_from_string

    try:
        graph = load_model_from_string(model).graph
        dim = graph.output[0].type.tensor_type.shape.dim[-1].dim_value
    except Exception as error:  # protobuf's own error has no common base that could be named
        raise IntegrityError("the encoder's model is not an ONNX graph with an output") from error
    return int(dim), any(node.op_type in _INTEGER_PRODUCTS for node in graph.node)

"""A collection kept in one file: found by its key, verified by its hash, written atomically."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
from pathlib import Path

from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.documents import Collection, Document, Query

_log = logging.getLogger(__name__)

_DOCUMENT_FIELDS = ("id", "title", "text", "category", "language")
"""What a collection says of a document; the rest is found by the processor."""


def read_cached(folder: Path, key: str) -> Collection | None:
    """The collection kept under ``key``; ``None`` where there is none or its bytes are damaged."""
    try:
        digest, _, body = _path(folder, key).read_bytes().partition(b"\n")
    except OSError:
        return None
    if _seal(key, body) != digest:
        return None
    try:
        value = json.loads(body)
        return Collection(
            name=value["name"],
            documents=tuple(Document(**fields) for fields in value["documents"]),
            queries=tuple(Query(**fields) for fields in value["queries"]),
            splits=value["splits"],
            digest=value["digest"],
            arrivals=tuple(tuple(group) for group in value["arrivals"]),
            manifest=value["manifest"],
        )
    except (ValueError, KeyError, TypeError):  # written by another version
        return None


def write_cached(folder: Path, key: str, collection: Collection) -> None:
    """Keep ``collection``. A folder that cannot be written costs time, not the collection."""
    body = canonical_json(
        {
            "name": collection.name,
            "documents": [
                {name: getattr(document, name) for name in _DOCUMENT_FIELDS}
                for document in collection.documents
            ],
            "queries": [{"id": query.id, "text": query.text} for query in collection.queries],
            "splits": collection.splits,
            "digest": collection.digest,
            "arrivals": collection.arrivals,
            "manifest": collection.manifest,
        }
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(_path(folder, key), _seal(key, body) + b"\n" + body)
    except OSError as error:
        _log.warning("the collection was not cached: %s", error)


def _seal(key: str, body: bytes) -> bytes:
    return sha256_hex(f"{key}\n".encode() + body).encode()


def _path(folder: Path, key: str) -> Path:
    return folder / f"collection-{key[:32]}.json"


def _replace(path: Path, data: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.")
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise

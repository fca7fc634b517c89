"""The documents of a cycle as they were when it began, so that each of its steps sees the same."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from predator.domain.documents import Document
from predator.domain.errors import IntegrityError
from predator.ports.object_store import ObjectStore


def keep(objects: ObjectStore, documents: Sequence[Document], arrivals: Mapping[str, float]) -> str:
    """Put the documents, each with its time of arrival (unix s), into the store; its digest."""
    lines = [json.dumps([asdict(d), arrivals.get(d.id)], ensure_ascii=False) for d in documents]
    return objects.put(zlib.compress("\n".join(lines).encode("utf-8", "surrogatepass"), 3))


def load(objects: ObjectStore, digest: str) -> tuple[list[Document], dict[str, float]]:
    """Documents and arrivals (those that are known) back, in their order."""
    documents: list[Document] = []
    arrivals: dict[str, float] = {}
    try:
        text = zlib.decompress(objects.get(digest)).decode("utf-8", "surrogatepass")
        for line in text.split("\n") if text else ():
            value, at = json.loads(line)
            document = Document(**{**value, "entities": tuple(value["entities"])})
            documents.append(document)
            if at is not None:
                arrivals[document.id] = at
    except (zlib.error, ValueError, TypeError, KeyError) as error:
        raise IntegrityError(f"object {digest} is no snapshot of documents") from error
    return documents, arrivals

"""A folder in the BEIR layout (Thakur et al. 2021): corpus.jsonl, queries.jsonl, qrels/*.tsv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from predator.adapters.collections.digest import content_digest
from predator.adapters.collections.lines import (
    Line,
    read_id,
    read_lines,
    read_object,
    read_text,
    shown,
    shown_path,
)
from predator.adapters.collections.qrels import read_qrels
from predator.domain.documents import Collection, Document, Query
from predator.domain.errors import InputError

_CATEGORY_LENGTH = 200
_LAYOUT = "A BEIR folder holds corpus.jsonl, queries.jsonl and qrels/*.tsv"


def load_beir(folder: Path, *, missing_docs: Literal["error", "ignore"] = "error") -> Collection:
    """Read a BEIR folder whole, or one that holds documents alone: ``corpus.jsonl``, neither
    ``queries.jsonl`` nor ``qrels``.

    Each ``qrels/NAME.tsv`` is a split. A document may carry its ``category`` at the top or under
    ``metadata``. Documents without title and text (Cranfield has two) are left out, because
    nothing can find them; with ``missing_docs="ignore"``, so are documents that only the
    judgments name. Their judgments go with them, and queries that have none left in any split.
    The manifest counts what was dropped. Raises ``InputError`` that names file and line for
    anything unusable.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"{shown_path(folder)} {problem}", cure=_LAYOUT)
    corpus = folder / "corpus.jsonl"
    read = {document.id: document for document in _documents(corpus)}
    documents = {name: document for name, document in read.items() if not _is_empty(document)}
    if not documents:
        raise InputError(f"{shown_path(corpus)}:1: no document has a title or a text", cure=_LAYOUT)
    alone = not (folder / "queries.jsonl").exists() and not (folder / "qrels").exists()
    queries = {} if alone else {q.id: q for q in _queries(folder / "queries.jsonl")}
    qrels = (
        {}
        if alone
        else {
            path.stem: read_qrels(
                path,
                queries,
                documents,
                droppable=None if missing_docs == "ignore" else read.keys() - documents.keys(),
            )
            for path in _qrels_files(folder / "qrels")
        }
    )
    splits = {name: part.judgments for name, part in qrels.items()}
    judged = {query_id for judgments in splits.values() for query_id in judgments}
    orphans = {query for part in qrels.values() for query in part.dropped_queries} - judged
    asked = tuple(query for query in queries.values() if query.id not in orphans)
    return Collection(
        name=_name(folder),
        documents=tuple(documents.values()),
        queries=asked,
        splits=splits,
        digest=content_digest(documents.values(), asked, splits),
        manifest={
            "source": "beir",
            "documents": len(documents),
            "queries": len(asked),
            "judgments": {
                name: sum(map(len, part.judgments.values())) for name, part in qrels.items()
            },
            "dropped": {
                "empty_documents": len(read) - len(documents),
                "judgments": sum(part.dropped_judgments for part in qrels.values()),
                "queries": len(orphans),
            },
        },
    )


def _name(folder: Path) -> str:
    name = folder.resolve().name
    return "".join(letter if letter.isprintable() else "?" for letter in name) or "collection"


def _documents(path: Path) -> Iterator[Document]:
    for line, identifier, record in _records(path, "document"):
        title = read_text(line, record, "title", optional=True)
        text = read_text(line, record, "text")
        yield Document(identifier, title, text, category=_category(record))


def _is_empty(document: Document) -> bool:
    return not (document.title.strip() or document.text.strip())


def _queries(path: Path) -> Iterator[Query]:
    for line, identifier, record in _records(path, "query"):
        text = read_text(line, record, "text")
        if not text.strip():
            raise line.error(
                f"query {shown(identifier)} has no text", "Fill it, or remove the line"
            )
        yield Query(identifier, text)


def _records(path: Path, noun: str) -> Iterator[tuple[Line, str, dict[str, Any]]]:
    if not path.is_file():
        raise InputError(f"{shown_path(path)} is missing", cure=_LAYOUT)
    first_seen: dict[str, int] = {}
    for line in read_lines(path):
        record = read_object(line)
        identifier = read_id(line, record.get("_id"))
        before = first_seen.setdefault(identifier, line.number)
        if before != line.number:
            raise line.error(
                f"{noun} {shown(identifier)} was on line {before} before", "Make each id unique"
            )
        yield line, identifier, record


def _category(record: dict[str, Any]) -> str:
    """The document's category; ``""`` where the free-form field holds no plain name."""
    metadata = record.get("metadata")
    value = record.get("category", metadata.get("category") if isinstance(metadata, dict) else None)
    if isinstance(value, list) and value:  # from the broadest to the narrowest
        value = value[0]
    if isinstance(value, str) and value.isprintable() and len(value) <= _CATEGORY_LENGTH:
        return value.strip()
    return ""


def _qrels_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{shown_path(folder)} is missing", cure=_LAYOUT)
    files = sorted(
        path for path in folder.glob("*.tsv") if path.is_file() and not path.name.startswith(".")
    )
    if not files:
        raise InputError(f"{shown_path(folder)} holds no .tsv file", cure=_LAYOUT)
    for path in files:
        if not path.stem.isprintable():
            raise InputError(
                f"{shown_path(path)}: the name of a split must be printable", cure="Rename the file"
            )
    return files

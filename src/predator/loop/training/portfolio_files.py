"""What a portfolio job is given and what it leaves, as files.

Inputs are plain (CSV, JSON lines, little-endian 32-bit floats, safetensors), and so are the files
that the job leaves.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.canonical import sha256_hex
from predator.domain.documents import Document
from predator.domain.errors import InputError, IntegrityError
from predator.domain.release import RetrievalParameters
from predator.loop.dataset.stage import COLUMNS
from predator.loop.train import Budget
from predator.loop.training.job_lines import lines
from predator.loop.training.learn import Learnt
from predator.loop.training.tuned_spaces import TunedSpaces

DATASET, DOCUMENTS, QUERIES = "dataset.csv", "documents.jsonl", "queries.jsonl"
DOCUMENT_VECTORS, QUERY_VECTORS = "documents.f32", "queries.f32"
MASKED, MASKED_VECTORS = "masked.jsonl", "masked.f32"
PORTFOLIO, LEFT_OUT, TUNED_ON = "portfolio.json", "left_out.json", "tuned_on.json"
ENCODER_MODEL, ENCODER_TOKENIZER = "tuned-model.onnx", "tuned-tokenizer.json"
OBJECT = "object-"
"""Begins the names of files that a reranker names by their SHA-256, which ends them."""
_FLOATS = np.dtype("<f4")

Floats = NDArray[np.float32]
Row = tuple[str, str, str, int, str]
Masked = Mapping[int, Document]
"""Documents without what queries were made from, by their place among all documents."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """A candidate that a job trained, with its mean NDCG@10 out of fold.

    ``reranker`` is what goes into the object store, ``None`` where the fused order is final, and
    ``objects`` by SHA-256 is what a reranker that reads texts needs beside it. ``encoder`` are
    ONNX model and tokenizer of a tuned encoder, ``None`` for the live one.
    """

    name: str
    ndcg_out_of_fold: float
    details: Mapping[str, float]
    retrieval: RetrievalParameters
    reranker: bytes | None
    encoder: tuple[bytes, bytes] | None = None
    objects: Mapping[str, bytes] = field(default_factory=dict)


def job_inputs(
    rows: Sequence[Row],
    documents: Sequence[Document],
    document_vectors: Floats,
    query_texts: Sequence[str],
    query_vectors: Floats,
    model: Mapping[str, bytes] | None = None,
    masked: Masked | None = None,
    masked_vectors: Floats | None = None,
) -> dict[str, bytes]:
    """The job's input files.

    ``rows`` are a dataset's (:func:`~predator.loop.dataset.stage.read_rows`), ``documents`` all of
    the index in its order, ``query_texts`` the distinct texts of ``rows``; the vectors are
    [documents, dim] and [query texts, dim], of unit length. ``model`` are the files of the encoder
    (:func:`~predator.learning.bi_encoder.read_parts`), where it is to be tuned or a cross-encoder
    to be made of it. ``masked`` with its vectors [masked, dim], in its order, is what generated
    queries are learnt from.
    """
    table = io.StringIO(newline="")
    # Quotes around every string, as in the dataset itself: a lone carriage return ends a row else.
    writer = csv.writer(table, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([COLUMNS, *rows])
    hidden = masked or {}
    no_vectors = np.zeros((0, 0), np.float32)
    return {
        DATASET: table.getvalue().encode(),
        DOCUMENTS: lines(asdict(document) for document in documents),
        DOCUMENT_VECTORS: _floats(document_vectors),
        QUERIES: lines(query_texts),
        QUERY_VECTORS: _floats(query_vectors),
        MASKED: lines([place, asdict(document)] for place, document in hidden.items()),
        MASKED_VECTORS: _floats(no_vectors if masked_vectors is None else masked_vectors),
        **(model or {}),
    }


def job_spec(
    *,
    seed: int,
    dim: int,
    threads: int = 1,
    base: RetrievalParameters | None = None,
    budget: Budget | None = None,
    max_tokens: int = 0,
    cross_encoder: bool = False,
    room_ms: float | None = None,
) -> dict[str, Any]:
    """The job's spec; ``dim`` is the length of a vector, ``base`` how what is live retrieves,
    ``max_tokens`` what a tuned encoder will serve with (none is tuned without). With
    ``cross_encoder`` one is trained, which may make a search ``room_ms`` longer."""
    return {
        "seed": seed,
        "dim": dim,
        "threads": threads,
        "base": (base or RetrievalParameters()).to_json(),
        "budget": asdict(budget or Budget()),
        "max_tokens": max_tokens,
        "cross_encoder": cross_encoder,
        "room_ms": room_ms,
    }


def read_documents(inputs: Mapping[str, bytes]) -> list[Document]:
    """All documents of the index, in its order."""
    return [_document(value) for value in map(json.loads, inputs[DOCUMENTS].splitlines())]


def read_masked(inputs: Mapping[str, bytes], dim: int) -> tuple[dict[int, Document], Floats]:
    """What :func:`job_inputs` was given as ``masked``, and its vectors [masked, dim]."""
    values = [json.loads(line) for line in inputs[MASKED].splitlines()]
    masked = {int(place): _document(value) for place, value in values}
    return masked, read_vectors("masked document", inputs[MASKED_VECTORS], len(masked), dim)


def read_portfolio(files: Mapping[str, bytes]) -> list[Submitted]:
    """What the job left, best first; ``IntegrityError`` where it is not what a job leaves."""
    try:
        objects = _objects(files)
        found = [
            Submitted(
                str(value["name"]),
                _finite(value["ndcg_at_10_out_of_fold"]),
                {str(name): _finite(number) for name, number in value["details"].items()},
                RetrievalParameters(**value["retrieval"]),
                None if value["reranker"] is None else files[value["reranker"]],
                (files[ENCODER_MODEL], files[ENCODER_TOKENIZER]) if value["tuned"] else None,
                objects if "budget_ms" in value["details"] else {},
            )
            for value in json.loads(files[PORTFOLIO])
        ]
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"the trained portfolio cannot be read: {error!r}") from error
    if not found:
        raise IntegrityError("the trained portfolio is empty")
    return sorted(found, key=lambda one: -one.ndcg_out_of_fold)


def read_left_out(files: Mapping[str, bytes]) -> dict[str, str]:
    """Why candidates were not trained, by name; ``IntegrityError`` as :func:`read_portfolio`."""
    try:
        value = json.loads(files[LEFT_OUT])
        return {str(name): str(reason)[:500] for name, reason in value.items()}
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise IntegrityError(f"the trained portfolio cannot be read: {error!r}") from error


def read_tuned_on(files: Mapping[str, bytes]) -> list[str]:
    """The ids of the queries that a tuned encoder has learnt from, none where none was tuned."""
    try:
        return [str(name) for name in json.loads(files[TUNED_ON])]
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise IntegrityError(f"the trained portfolio cannot be read: {error!r}") from error


def files_of(
    learnt: Learnt,
    spaces: TunedSpaces,
    tuned_on: Mapping[str, frozenset[str]],
    objects: Mapping[str, bytes],
) -> dict[str, bytes]:
    """The files that a job leaves; ``objects`` are what rerankers name, by SHA-256."""
    files: dict[str, bytes] = {}
    learnt_from = sorted(set().union(*tuned_on.values()))
    files[TUNED_ON] = json.dumps(learnt_from).encode()
    table = []
    for number, trained in enumerate(learnt.candidates, start=1):
        name = None
        if trained.reranker is not None:
            name = f"reranker-{number}.json"
            files[name] = trained.reranker
        table.append(
            {
                "name": trained.name,
                "ndcg_at_10_out_of_fold": trained.scores.mean(),
                "details": dict(trained.details),
                "retrieval": trained.retrieval.to_json(),
                "reranker": name,
                "tuned": bool(trained.encoder),
            }
        )
        if trained.encoder:
            encoder = spaces.files[trained.encoder]
            files |= {ENCODER_MODEL: encoder.model(), ENCODER_TOKENIZER: encoder.tokenizer()}
    files |= {f"{OBJECT}{digest}": data for digest, data in objects.items()}
    files[LEFT_OUT] = json.dumps(dict(learnt.left_out)).encode()
    files[PORTFOLIO] = json.dumps(table, indent=1, allow_nan=False).encode()
    return files


def read_vectors(what: str, data: bytes, count: int, dim: int) -> Floats:
    """``count`` vectors of ``dim`` finite numbers; ``InputError`` for anything else."""
    if len(data) != count * dim * _FLOATS.itemsize:
        raise InputError(
            f"{len(data)} bytes of {what} vectors are not {count} vectors of {dim} numbers"
        )
    vectors = np.frombuffer(data, _FLOATS).astype(np.float32, copy=False).reshape(count, dim)
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise InputError(f"{what} vector {broken[0]} holds a number that is not finite")
    return vectors


def _objects(files: Mapping[str, bytes]) -> dict[str, bytes]:
    found = {n.removeprefix(OBJECT): data for n, data in files.items() if n.startswith(OBJECT)}
    for digest, data in found.items():
        if sha256_hex(data) != digest:
            raise ValueError(f"the object {digest:.12} is not what its name says")
    return found


def _document(value: dict[str, Any]) -> Document:
    return Document(**{**value, "entities": tuple(value["entities"])})


def _floats(vectors: Floats) -> bytes:
    return vectors.astype(_FLOATS).tobytes()


def _finite(value: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is no finite number")
    return float(value)

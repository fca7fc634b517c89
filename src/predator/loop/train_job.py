"""Training the portfolio as a job: ``python -m predator.loop.train_job JOB_FOLDER``.

The loop has the encoder, the job needs none: every vector comes with its inputs. Where the encoder
is to be tuned too, its model comes with them. Inputs are plain (CSV, JSON lines, little-endian
32-bit floats, safetensors), and so are the files it leaves.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document, Query
from predator.domain.errors import InputError, IntegrityError
from predator.domain.release import RetrievalParameters
from predator.learning.anchors import AnchorSet
from predator.learning.bi_encoder import PARTS, BiEncoder, Plan
from predator.learning.examples import Example, collect
from predator.learning.lessons import Lessons
from predator.loop import bi_encoder_job
from predator.loop.dataset_stage import COLUMNS, read_rows
from predator.loop.encoder_tuning import Tune
from predator.loop.job_child import Report, run
from predator.loop.learn import Learner, Learnt
from predator.loop.train import Budget
from predator.loop.tuned_spaces import TunedSpaces
from predator.search.index import Index

DATASET, DOCUMENTS, QUERIES = "dataset.csv", "documents.jsonl", "queries.jsonl"
DOCUMENT_VECTORS, QUERY_VECTORS = "documents.f32", "queries.f32"
PORTFOLIO, LEFT_OUT, TUNED_ON = "portfolio.json", "left_out.json", "tuned_on.json"
ENCODER_MODEL, ENCODER_TOKENIZER = "tuned-model.onnx", "tuned-tokenizer.json"
LIVE = ""
"""The live encoder, among those that the job knows."""
_FLOATS = np.dtype("<f4")

Floats = NDArray[np.float32]
Row = tuple[str, str, str, int, str]


@dataclass(frozen=True, slots=True)
class Submitted:
    """A candidate that a job trained, with its mean NDCG@10 out of fold.

    ``reranker`` is what goes into the object store, ``None`` where the fused order is final;
    ``encoder`` are ONNX model and tokenizer of a tuned encoder, ``None`` for the live one.
    """

    name: str
    ndcg_out_of_fold: float
    details: Mapping[str, float]
    retrieval: RetrievalParameters
    reranker: bytes | None
    encoder: tuple[bytes, bytes] | None = None


def job_inputs(
    rows: Sequence[Row],
    documents: Sequence[Document],
    document_vectors: Floats,
    query_texts: Sequence[str],
    query_vectors: Floats,
    model: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """The job's input files.

    ``rows`` are a dataset's (:func:`~predator.loop.dataset_stage.read_rows`), ``documents`` all of
    the index in its order, ``query_texts`` the distinct texts of ``rows``; the vectors are
    [documents, dim] and [query texts, dim], of unit length. ``model`` are the files of the encoder
    (:func:`~predator.learning.bi_encoder.read_parts`), where it is to be tuned.
    """
    table = io.StringIO(newline="")
    # Quotes around every string, as in the dataset itself: a lone carriage return ends a row else.
    writer = csv.writer(table, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerows([COLUMNS, *rows])
    return {
        DATASET: table.getvalue().encode(),
        DOCUMENTS: _lines(asdict(document) for document in documents),
        DOCUMENT_VECTORS: document_vectors.astype(_FLOATS).tobytes(),
        QUERIES: _lines(query_texts),
        QUERY_VECTORS: query_vectors.astype(_FLOATS).tobytes(),
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
) -> dict[str, Any]:
    """The job's spec; ``dim`` is the length of a vector, ``base`` how what is live retrieves,
    ``max_tokens`` what a tuned encoder will serve with (none is tuned without)."""
    return {
        "seed": seed,
        "dim": dim,
        "threads": threads,
        "base": (base or RetrievalParameters()).to_json(),
        "budget": asdict(budget or Budget()),
        "max_tokens": max_tokens,
    }


def read_portfolio(files: Mapping[str, bytes]) -> list[Submitted]:
    """What the job left, best first; ``IntegrityError`` where it is not what a job leaves."""
    try:
        found = [
            Submitted(
                str(value["name"]),
                _finite(value["ndcg_at_10_out_of_fold"]),
                {str(name): _finite(number) for name, number in value["details"].items()},
                RetrievalParameters(**value["retrieval"]),
                None if value["reranker"] is None else files[value["reranker"]],
                (files[ENCODER_MODEL], files[ENCODER_TOKENIZER]) if value["tuned"] else None,
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


def train_rows(
    rows: Sequence[Row], learner: Learner, base: RetrievalParameters | None = None
) -> Learnt:
    """Learn from what a dataset holds, in its own order.

    Judged queries are learnt from and scored on; generated ones are learnt from where they find
    their source, and each candidate's details say how many did not (``round_trip_dropped``).
    ``InputError`` where there is too little to learn from.
    """
    queries: dict[str, Query] = {}
    judgments: dict[str, dict[str, int]] = {}
    made: set[str] = set()
    for query_id, text, document, grade, source in rows:
        queries[query_id] = Query(query_id, text)
        judgments.setdefault(query_id, {})[document] = grade
        if source != "judgment":
            made.add(query_id)
    wanted = [query for query in queries.values() if query.id not in made]
    if not wanted:
        raise InputError("the dataset holds no judged query", cure="bring judgments")
    index, encoder = learner.spaces.seen_by(LIVE)
    asked = [query for query in queries.values() if query.id in made]
    found = collect(
        index,
        encoder,
        asked,
        judgments,
        progress=lambda done, total: learner.report("generated queries", done, total),
    )
    generated = [example for example in found if round_trip(example)]
    learnt = learner.learn(LIVE, base or RetrievalParameters(), wanted, judgments, generated)
    lost = {"round_trip_dropped": float(len(made) - len(generated))}
    return Learnt(
        [replace(one, details={**one.details, **lost}) for one in learnt.candidates],
        learnt.left_out,
    )


def round_trip(example: Example, depth: int = 50) -> bool:
    """Whether a generated query finds its source among the first ``depth`` candidates."""
    grades = example.grades_of(example.found.take(depth))
    return bool(len(grades) and grades.max() > 0)


def train_job(
    inputs: Mapping[str, bytes],
    spec: Mapping[str, Any],
    report: Report,
    checkpoints: Path | None = None,
) -> dict[str, bytes]:
    """The files of a portfolio job, from those of :func:`job_inputs` and :func:`job_spec`."""
    dim = int(spec["dim"])
    documents = [
        Document(**{**value, "entities": tuple(value["entities"])})
        for value in map(json.loads, inputs[DOCUMENTS].splitlines())
    ]
    texts = [json.loads(line) for line in inputs[QUERIES].splitlines()]
    vectors = _vectors("document", inputs[DOCUMENT_VECTORS], len(documents), dim)
    encoder = Lookup(texts, _vectors("query", inputs[QUERY_VECTORS], len(texts), dim))
    index = Index(dim, LIVE)
    report("documents indexed", 0, len(documents))
    index.set_vectors(index.add(documents), vectors)
    report("documents indexed", len(documents), len(documents))
    with tempfile.TemporaryDirectory() as scratch:
        spaces = TunedSpaces(index, encoder, Path(scratch), int(spec["max_tokens"]), report)
        tuning = bool(spec["max_tokens"]) and all(name in inputs for name in PARTS)
        learner = Learner(
            spaces,
            int(spec["seed"]),
            int(spec["threads"]),
            Budget(**spec["budget"]),
            report,
            tune=_tuner(inputs, spec, report, checkpoints) if tuning else None,
            export=spaces.add if tuning else None,
        )
        learnt = train_rows(
            read_rows(inputs[DATASET]), learner, RetrievalParameters(**spec["base"])
        )
        return _files(learnt, spaces, learner.tuned_on)


def _tuner(
    inputs: Mapping[str, bytes],
    spec: Mapping[str, Any],
    report: Report,
    checkpoints: Path | None,
) -> Tune:
    model = {name: inputs[name] for name in PARTS}

    def tune(lessons: Lessons, anchors: Sequence[AnchorSet], plan: Plan) -> BiEncoder:
        given = bi_encoder_job.job_inputs(model, lessons, anchors)
        wanted = bi_encoder_job.job_spec(plan, lessons, max_tokens=int(spec["max_tokens"]))
        left = bi_encoder_job.bi_encoder_job(given, wanted, report, checkpoints)
        return bi_encoder_job.read_tuned(left)

    return tune


class Lookup:
    """A query encoder that knows some texts by heart, and no others."""

    def __init__(self, texts: Sequence[str], vectors: Floats) -> None:
        self._row = {text: row for row, text in enumerate(texts)}
        self._vectors = vectors

    def encode_query(self, text: str) -> Floats:
        """The vector that came for ``text``; ``InputError`` where none did."""
        if text not in self._row:
            raise InputError(f"no vector came with the query {text!r:.80}")
        vector: Floats = self._vectors[self._row[text]]
        return vector


def _files(
    portfolio: Learnt, spaces: TunedSpaces, tuned_on: Mapping[str, frozenset[str]]
) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    learnt_from = sorted(set().union(*tuned_on.values()))
    files[TUNED_ON] = json.dumps(learnt_from).encode()
    table = []
    for number, trained in enumerate(portfolio.candidates, start=1):
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
    files[LEFT_OUT] = json.dumps(dict(portfolio.left_out)).encode()
    files[PORTFOLIO] = json.dumps(table, indent=1, allow_nan=False).encode()
    return files


def _vectors(what: str, data: bytes, count: int, dim: int) -> Floats:
    if len(data) != count * dim * _FLOATS.itemsize:
        raise InputError(
            f"{len(data)} bytes of {what} vectors are not {count} vectors of {dim} numbers"
        )
    vectors = np.frombuffer(data, _FLOATS).astype(np.float32, copy=False).reshape(count, dim)
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise InputError(f"{what} vector {broken[0]} holds a number that is not finite")
    return vectors


def _lines(values: Any) -> bytes:
    # A line break inside a text is escaped, so that lines are values.
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def _finite(value: Any) -> float:
    if type(value) not in {int, float} or not math.isfinite(value):
        raise ValueError(f"{value!r:.40} is no finite number")
    return float(value)


def main(job: Path) -> int:
    """Do the job in the folder ``job``; the exit code. A tuning that was cut off goes on."""

    def work(
        inputs: Mapping[str, bytes], spec: Mapping[str, Any], report: Report
    ) -> dict[str, bytes]:
        return train_job(inputs, spec, report, job / bi_encoder_job.CHECKPOINT)

    return run(job, work)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""Training the portfolio as a job: ``python -m predator.loop.training.train_job JOB_FOLDER``.

The loop has the encoder, the job needs none: every vector comes with its inputs. Where the encoder
is to be tuned too, or a cross-encoder made of it, its model comes with them. The files are those of
:mod:`~predator.loop.training.portfolio_files`.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from predator.domain.canonical import sha256_hex
from predator.domain.documents import Document, Query
from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning import cross_encoder, stacking
from predator.learning.anchors import AnchorSet
from predator.learning.bi_encoder import PARTS, BiEncoder, Plan, open_encoder
from predator.learning.examples import Example, collect
from predator.learning.lessons import Lessons
from predator.loop.dataset.stage import read_rows
from predator.loop.train import Budget
from predator.loop.training import bi_encoder_job, cross_encoder_job
from predator.loop.training.encoder_tuning import Tune
from predator.loop.training.job_child import CHECKPOINT, Report, run
from predator.loop.training.learn import Learner, Learnt, Read
from predator.loop.training.portfolio_files import (
    DATASET,
    DOCUMENT_VECTORS,
    QUERIES,
    QUERY_VECTORS,
    Floats,
    Row,
    files_of,
    read_documents,
    read_masked,
    read_vectors,
)
from predator.loop.training.tuned_spaces import TunedSpaces
from predator.search.index import Index

LIVE = ""
"""The live encoder, among those that the job knows."""


def train_rows(
    rows: Sequence[Row],
    learner: Learner,
    base: RetrievalParameters | None = None,
    masked: Index | None = None,
) -> Learnt:
    """Learn from what a dataset holds, in its own order.

    Judged queries are learnt from and scored on. Generated ones are asked in ``masked``, where the
    documents lack what the queries were made from (in the learner's index without it), and learnt
    from where they find their source; each candidate's details say how many did not
    (``round_trip_dropped``). A learner without judgments learns from the generated ones alone, in
    its own index. ``InputError`` where there is too little to learn from.
    """
    queries: dict[str, Query] = {}
    judgments: dict[str, dict[str, int]] = {}
    made: set[str] = set()
    for query_id, text, document, grade, source in rows:
        queries[query_id] = Query(query_id, text)
        judgments.setdefault(query_id, {})[document] = grade
        if source != "judgment":
            made.add(query_id)
    if not queries:
        raise InputError("the dataset holds no query", cure="bring judgments, or more documents")
    live = base or RetrievalParameters()
    if not learner.judged:
        return learner.learn(LIVE, live, list(queries.values()), judgments)
    wanted = [query for query in queries.values() if query.id not in made]
    index, encoder = learner.spaces.seen_by(LIVE)
    found = collect(
        index if masked is None else masked,
        encoder,
        [query for query in queries.values() if query.id in made],
        judgments,
        progress=lambda done, total: learner.report("generated queries", done, total),
    )
    generated = [example for example in found if round_trip(example)]
    learnt = learner.learn(LIVE, live, wanted, judgments, generated, masked)
    lost = {"round_trip_dropped": float(len(made) - len(generated))}
    told = [replace(one, details={**one.details, **lost}) for one in learnt.candidates]
    return Learnt(told, learnt.left_out)


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
    """The files of a portfolio job, from those of
    :func:`~predator.loop.training.portfolio_files.job_inputs` and
    :func:`~predator.loop.training.portfolio_files.job_spec`."""
    dim = int(spec["dim"])
    documents = read_documents(inputs)
    texts = [json.loads(line) for line in inputs[QUERIES].splitlines()]
    vectors = read_vectors("document", inputs[DOCUMENT_VECTORS], len(documents), dim)
    encoder = Lookup(texts, read_vectors("query", inputs[QUERY_VECTORS], len(texts), dim))
    hidden, hidden_vectors = read_masked(inputs, dim)
    index = _indexed(documents, vectors, report)
    objects: dict[str, bytes] = {}

    def put(data: bytes) -> str:
        digest = sha256_hex(data)
        objects[digest] = data
        return digest

    rows = read_rows(inputs[DATASET])
    judged = any(row[4] == "judgment" for row in rows)
    masked = None
    if hidden:
        bare = [hidden.get(place, one) for place, one in enumerate(documents)]
        bare_vectors = vectors.copy()
        bare_vectors[list(hidden)] = hidden_vectors
        masked = _indexed(bare, bare_vectors, report)
    with tempfile.TemporaryDirectory() as scratch:
        max_tokens = int(spec["max_tokens"])
        within = index if judged or masked is None else masked
        spaces = TunedSpaces(within, encoder, Path(scratch), max_tokens, report)
        model = all(name in inputs for name in PARTS)
        tuning = bool(max_tokens) and model
        learner = Learner(
            spaces,
            int(spec["seed"]),
            int(spec["threads"]),
            Budget(**spec["budget"]),
            report,
            judged,
            tune=_tuner(inputs, spec, report, checkpoints) if tuning else None,
            export=spaces.add if tuning else None,
            read=_reader(inputs, report, checkpoints) if model and spec["cross_encoder"] else None,
            put=put,
            room_ms=spec["room_ms"],
            pace=_pacer(inputs, max_tokens, Path(scratch)) if tuning else None,
        )
        learnt = train_rows(rows, learner, RetrievalParameters(**spec["base"]), masked)
        return files_of(learnt, spaces, learner.tuned_on, objects)


def _indexed(documents: Sequence[Document], vectors: Floats, report: Report) -> Index:
    index = Index(vectors.shape[1], LIVE)
    report("documents indexed", 0, len(documents))
    index.set_vectors(index.add(documents), vectors)
    report("documents indexed", len(documents), len(documents))
    return index


def _tuner(
    inputs: Mapping[str, bytes],
    spec: Mapping[str, Any],
    report: Report,
    checkpoints: Path | None,
) -> Tune:
    model = {name: inputs[name] for name in PARTS}
    own = None if checkpoints is None else checkpoints / bi_encoder_job.KIND

    def tune(lessons: Lessons, anchors: Sequence[AnchorSet], plan: Plan) -> BiEncoder:
        given = bi_encoder_job.job_inputs(model, lessons, anchors)
        wanted = bi_encoder_job.job_spec(plan, lessons, max_tokens=int(spec["max_tokens"]))
        left = bi_encoder_job.bi_encoder_job(given, wanted, report, own)
        return bi_encoder_job.read_tuned(left)

    return tune


def _pacer(
    inputs: Mapping[str, bytes], max_tokens: int, scratch: Path
) -> Callable[[Sequence[str]], float]:
    model = BiEncoder({name: inputs[name] for name in PARTS}, {})

    def pace(texts: Sequence[str]) -> float:
        encoder = open_encoder(model, scratch / "pace", max_tokens=max_tokens)
        began = time.monotonic()
        encoder.encode(texts)
        return time.monotonic() - began

    return pace


def _reader(inputs: Mapping[str, bytes], report: Report, checkpoints: Path | None) -> Read:
    base = {name: inputs[name] for name in cross_encoder_job.BASE}
    own = None if checkpoints is None else checkpoints / cross_encoder_job.KIND

    def read(lessons: stacking.Lessons, plan: cross_encoder.Plan) -> stacking.Stacked:
        if importlib.util.find_spec("torch") is None:
            raise InputError("training a cross-encoder needs torch, which is not installed")
        given = cross_encoder_job.job_inputs(base, lessons)
        wanted = cross_encoder_job.job_spec(plan, lessons)
        left = cross_encoder_job.cross_encoder_job(given, wanted, report, own)
        return cross_encoder_job.read_stacked(left)

    return read


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


def main(job: Path) -> int:
    """Do the job in the folder ``job``; the exit code. A training that was cut off goes on."""

    def work(
        inputs: Mapping[str, bytes], spec: Mapping[str, Any], report: Report
    ) -> dict[str, bytes]:
        return train_job(inputs, spec, report, job / CHECKPOINT)

    return run(job, work)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

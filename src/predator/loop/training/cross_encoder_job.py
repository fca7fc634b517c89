"""A cross-encoder, trained as a job.

``python -m predator.loop.training.cross_encoder_job JOB_FOLDER``

Inputs are plain: the base model's files, JSON lines of texts and questions. The files it leaves
are those of the cross-encoder, and ``scores.jsonl``: its out-of-fold scores of every question's
candidates. An attempt that follows a killed one goes on from ``JOB_FOLDER/checkpoint``.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from predator.domain.errors import InputError, IntegrityError
from predator.learning import cross_encoder
from predator.learning.cross_encoder import Plan
from predator.learning.stacking import Lessons, Question, Stacked, train_stacked
from predator.loop.training.job_child import CHECKPOINT, Report, run
from predator.loop.training.job_lines import known_text, lines
from predator.search.encoder.source import TOKENIZER, WEIGHTS, Source, read_bounded, read_source

KIND = "cross_encoder"
COMMAND = ("-P", "-m", "predator.loop.training.cross_encoder_job")
"""What the trainer runs for a job of this kind; its Python needs the train extra."""
TEXTS, QUESTIONS, SCORES, FOLDS = "texts.jsonl", "questions.jsonl", "scores.jsonl", "folds.json"
BASE = {
    "config.json": "config.json",
    "modules.json": "modules.json",
    "pooling.json": "1_Pooling/config.json",
    TOKENIZER: TOKENIZER,
    WEIGHTS: WEIGHTS,
}
"""The base model's files by flat name, and where they lie in its folder."""
_MOST_BYTES = 2 << 30


def read_base(folder: Path) -> dict[str, bytes]:
    """The files of the model to begin from; ``InputError`` where it is not a BERT encoder."""
    read_source(folder)
    return {name: read_bounded(folder / place, most=_MOST_BYTES) for name, place in BASE.items()}


def job_inputs(base: Mapping[str, bytes], lessons: Lessons) -> dict[str, bytes]:
    """The job's input files; ``base`` is of :func:`read_base`."""
    return {
        **{name: base[name] for name in BASE},
        TEXTS: lines(lessons.texts),
        QUESTIONS: lines(
            {**asdict(one), "grades": sorted(one.grades.items())} for one in lessons.questions
        ),
    }


def job_spec(plan: Plan, lessons: Lessons) -> dict[str, Any]:
    """The job's spec."""
    return {"plan": asdict(plan), "teacher": lessons.teacher}


def read_stacked(files: Mapping[str, bytes]) -> Stacked:
    """What the job left; ``IntegrityError`` where it is not what a job leaves."""
    cross_encoder.load(files)
    try:
        scores = [
            np.asarray([math.nan if one is None else float(one) for one in json.loads(line)])
            for line in files[SCORES].splitlines()
        ]
        folds = json.loads(files[FOLDS])
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise IntegrityError(f"the cross-encoder's scores cannot be read: {error!r}") from error
    own = {name: data for name, data in files.items() if name not in (SCORES, FOLDS)}
    return Stacked(own, scores, folds)


def cross_encoder_job(
    inputs: Mapping[str, bytes],
    spec: Mapping[str, Any],
    report: Report,
    checkpoints: Path | None = None,
) -> dict[str, bytes]:
    """The files of a trained cross-encoder, from those of :func:`job_inputs` and
    :func:`job_spec`."""
    lessons = read_lessons(inputs, spec)
    plan = Plan(**spec["plan"])
    stacked = train_stacked(_source(inputs), lessons, plan, report=report, checkpoints=checkpoints)
    return {
        **stacked.files,
        SCORES: lines(
            [None if math.isnan(one) else one for one in scores.tolist()]
            for scores in stacked.scores
        ),
        FOLDS: json.dumps(list(stacked.folds), allow_nan=False).encode(),
    }


def _source(inputs: Mapping[str, bytes]) -> Source:
    with tempfile.TemporaryDirectory() as scratch:
        for name, place in BASE.items():
            path = Path(scratch) / place
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(inputs[name])
        return read_source(Path(scratch))


def read_lessons(inputs: Mapping[str, bytes], spec: Mapping[str, Any]) -> Lessons:
    """The inverse of :func:`job_inputs` and :func:`job_spec`."""
    try:
        texts = [str(json.loads(line)) for line in inputs[TEXTS].splitlines()]
        known = range(len(texts))
        questions = []
        for line in inputs[QUESTIONS].splitlines():
            value = json.loads(line)
            questions.append(
                Question(
                    str(value["query"]),
                    int(value["group"]),
                    tuple(known_text(text, known) for text in value["candidates"]),
                    tuple(float(one) for one in value["fused"]),
                    {known_text(text, known): int(grade) for text, grade in value["grades"]},
                    tuple(
                        (known_text(text, known), float(target), float(weight))
                        for text, target, weight in value["pairs"]
                    ),
                )
            )
        return Lessons(texts, questions, str(spec["teacher"]))
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"the lessons cannot be read: {error!r}") from error


def main(job: Path) -> int:
    """Do the job in the folder ``job``; the exit code."""

    def work(
        inputs: Mapping[str, bytes], spec: Mapping[str, Any], report: Report
    ) -> dict[str, bytes]:
        return cross_encoder_job(inputs, spec, report, job / CHECKPOINT)

    return run(job, work)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

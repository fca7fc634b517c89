"""Tuning the encoder as a job: ``python -m predator.loop.training.bi_encoder_job JOB_FOLDER``.

Inputs are plain: the live encoder's files, JSON lines of texts, lessons, held-out questions and
anchors. So are the files it leaves: the tuned model's, and ``report.json`` with what was measured.
An attempt that follows a killed one goes on from ``JOB_FOLDER/checkpoint``.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from predator.domain.errors import InputError, IntegrityError
from predator.learning import bi_encoder
from predator.learning.anchors import (
    Anchor,
    AnchorResult,
    AnchorSet,
    judge,
    reciprocal_ranks,
    verdict_of,
)
from predator.learning.bi_encoder import BiEncoder, Plan
from predator.learning.bi_encoder_objective import check
from predator.learning.lessons import Lesson, Lessons, Question
from predator.loop.training.job_child import Report, run
from predator.loop.training.job_lines import known_text, lines
from predator.ports.encoder import Encoder
from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.onnx_encoder import OnnxEncoder

KIND = "bi_encoder"
COMMAND = ("-P", "-m", "predator.loop.training.bi_encoder_job")
"""What the trainer runs for a job of this kind."""
TEXTS, LESSONS, DEV, ANCHORS = "texts.jsonl", "lessons.jsonl", "dev.jsonl", "anchors.json"
CHECKPOINT = "checkpoint"
SHARE_OF_TRAINING = 0.8
"""The rest of the budget is for the export and the anchors."""


def job_inputs(
    model: Mapping[str, bytes], lessons: Lessons, anchors: Sequence[AnchorSet]
) -> dict[str, bytes]:
    """The job's input files; ``model`` is the live encoder's
    (:func:`~predator.learning.bi_encoder.read_parts`)."""
    return {
        **{name: model[name] for name in bi_encoder.PARTS},
        TEXTS: lines(lessons.texts),
        LESSONS: lines(
            {**asdict(lesson), "right": sorted(lesson.right)} for lesson in lessons.train
        ),
        DEV: lines(
            {"query": one.query, "grades": sorted(one.grades.items())} for one in lessons.dev
        ),
        ANCHORS: json.dumps([asdict(group) for group in anchors]).encode(),
    }


def job_spec(
    plan: Plan, lessons: Lessons, *, max_tokens: int, alpha: float = 0.05
) -> dict[str, Any]:
    """The job's spec; ``max_tokens`` is what the encoder will serve with, ``alpha`` the level of
    the anchors' gate."""
    return {
        "max_tokens": max_tokens,
        "plan": asdict(plan),
        "pool": list(lessons.pool),
        "teacher": lessons.teacher,
        "alpha": alpha,
    }


def read_tuned(files: Mapping[str, bytes]) -> BiEncoder:
    """What the job left; ``IntegrityError`` where it is not what a job leaves.

    Beside what the training tells, ``report`` has ``anchors`` (``verdict`` and its groups) and
    ``encoder`` (digest and dimension of the export). A model whose anchors' verdict is not PASS
    must not be promoted.
    """
    model = bi_encoder.load(files)
    try:
        verdict = model.report["anchors"]["verdict"]
        if not isinstance(verdict, str) or not isinstance(model.report["encoder"]["digest"], str):
            raise TypeError("it names no verdict or no encoder")
    except (LookupError, TypeError) as error:
        raise IntegrityError(f"the tuned encoder's report cannot be read: {error!r}") from error
    return model


def bi_encoder_job(
    inputs: Mapping[str, bytes],
    spec: Mapping[str, Any],
    report: Report,
    checkpoints: Path | None = None,
) -> dict[str, bytes]:
    """The files of a tuned encoder, from those of :func:`job_inputs` and :func:`job_spec`."""
    plan = Plan(**spec["plan"])
    lessons = read_lessons(inputs, spec)
    check(lessons, plan)
    original = {name: inputs[name] for name in bi_encoder.PARTS}
    budget = Plan(**{**spec["plan"], "budget_s": SHARE_OF_TRAINING * plan.budget_s})
    tuned = bi_encoder.train(original, lessons, budget, report=report, checkpoints=checkpoints)
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch)
        report("exporting the encoder", 0, 1)
        files = tuned.export(cache / "exported", max_tokens=int(spec["max_tokens"]))
        encoder = OnnxEncoder(files, threads=plan.threads)
        results: list[AnchorResult] = []
        if not tuned.is_original:
            folder = BiEncoder(original, {}).write(cache / "original")
            live = prepare_encoder(folder, cache / "exported", max_tokens=int(spec["max_tokens"]))
            before = OnnxEncoder(live, threads=plan.threads)
            results = _judge_anchors(
                _anchors(inputs), before, encoder, float(spec["alpha"]), report
            )
    told = {
        **tuned.report,
        "anchors": {
            "verdict": str(verdict_of(results)),
            "groups": [result.to_json() for result in results],
        },
        "encoder": {"digest": files.digest, "dim": files.dim, "max_tokens": files.max_tokens},
    }
    return bi_encoder.save(BiEncoder(tuned.files, told))


def _judge_anchors(
    groups: Sequence[AnchorSet], before: Encoder, after: Encoder, alpha: float, report: Report
) -> list[AnchorResult]:
    total = 2 * sum(len(group.anchors) + len(group.pool) for group in groups)
    done, results = 0, []
    for group in groups:
        ranks = []
        for encoder in (before, after):
            parts = []
            for texts in ([anchor.query for anchor in group.anchors], list(group.pool)):
                rows = np.zeros((len(texts), encoder.dim), np.float32)
                for row, text in enumerate(texts):
                    rows[row] = encoder.encode([text])[0]
                    done += 1
                    report("anchors", done, total)
                parts.append(rows)
            targets = [anchor.target for anchor in group.anchors]
            ranks.append(reciprocal_ranks(parts[0], parts[1], targets))
        results.append(judge(group, ranks[0], ranks[1], alpha=alpha))
    return results


def read_lessons(inputs: Mapping[str, bytes], spec: Mapping[str, Any]) -> Lessons:
    """The lessons of :func:`job_inputs`; ``InputError`` where they are none."""
    try:
        texts = [str(text) for text in _values(inputs[TEXTS])]
        known = range(len(texts))
        train_lessons = [
            Lesson(
                value["query"],
                known_text(value["positive"], known),
                tuple(known_text(text, known) for text in value["negatives"]),
                tuple(float(margin) for margin in value["margins"]),
                frozenset(value["right"]),
            )
            for value in _values(inputs[LESSONS])
        ]
        dev = [
            Question(
                value["query"],
                {known_text(text, known): int(grade) for text, grade in value["grades"]},
            )
            for value in _values(inputs[DEV])
        ]
        pool = [known_text(text, known) for text in spec["pool"]]
        return Lessons(texts, train_lessons, dev, pool, str(spec["teacher"]))
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"the lessons cannot be read: {error!r}") from error


def _anchors(inputs: Mapping[str, bytes]) -> list[AnchorSet]:
    try:
        groups = []
        for value in json.loads(inputs[ANCHORS]):
            pool = [str(text) for text in value["pool"]]
            anchors = [
                Anchor(one["query"], known_text(one["target"], range(len(pool))))
                for one in value["anchors"]
            ]
            groups.append(AnchorSet(value["name"], anchors, pool, float(value["margin"])))
        return groups
    except (ValueError, LookupError, TypeError) as error:
        raise InputError(f"the anchors cannot be read: {error!r}") from error


def _values(data: bytes) -> list[Any]:
    return [json.loads(line) for line in data.splitlines()]


def main(job: Path) -> int:
    """Do the job in the folder ``job``; the exit code."""

    def work(
        inputs: Mapping[str, bytes], spec: Mapping[str, Any], report: Report
    ) -> dict[str, bytes]:
        return bi_encoder_job(inputs, spec, report, job / CHECKPOINT)

    return run(job, work)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

"""A cross-encoder trained in a process of its own is the one that serves."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from predator.adapters.trainer.job_limits import JobLimits
from predator.adapters.trainer.local_process import LocalProcessTrainer
from predator.domain.errors import InputError, IntegrityError
from predator.learning.cross_encoder import REPORT, Plan
from predator.learning.stacking import Lessons, choose_weight
from predator.loop.training.cross_encoder_job import (
    COMMAND,
    FOLDS,
    KIND,
    QUESTIONS,
    SCORES,
    TEXTS,
    cross_encoder_job,
    job_inputs,
    job_spec,
    read_base,
    read_lessons,
    read_stacked,
)
from predator.search.cross_encoder import load_cross_encoder
from predator.search.cross_encoder_files import keep_cross_encoder
from tests.learning.pair_worlds import answered
from tests.search.encoder.tiny import tiny_folder
from tests.search.pair_models import Objects, exported

PLAN = Plan(
    seed=0, epochs=8, learning_rate=3e-3, max_tokens=16, max_query_tokens=4, precision="float32"
)
LESSONS = answered(60)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return read_base(tiny_folder(tmp_path_factory.mktemp("base")))


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def test_lessons_reach_the_job_as_they_were(base: Mapping[str, bytes]) -> None:
    strange = replace(LESSONS, texts=[*LESSONS.texts, "line\nbreak \u2028 \ud800 \x00"])
    inputs, spec = job_inputs(base, strange), job_spec(PLAN, strange)
    assert read_lessons(inputs, json.loads(json.dumps(spec))) == strange
    assert Plan(**json.loads(json.dumps(spec))["plan"]) == PLAN


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (QUESTIONS, b"{"),
        (QUESTIONS, b"[]\n"),
        (QUESTIONS, b'{"query": "q"}\n'),
        (QUESTIONS, b'{"query": "q", "group": 0, "candidates": [-1], "fused": [0], "grades": [],'
                    b' "pairs": []}\n'),
        (QUESTIONS, b'{"query": "q", "group": 0, "candidates": [], "fused": [], "grades": [],'
                    b' "pairs": [[999999, 1, 1]]}\n'),
        (TEXTS, b"\xff\n"),
    ],
)  # fmt: skip
def test_inputs_that_are_no_lessons_are_a_clear_error(
    base: Mapping[str, bytes], name: str, data: bytes
) -> None:
    inputs = {**job_inputs(base, LESSONS), name: data}
    with pytest.raises(InputError, match="lessons cannot be read"):
        cross_encoder_job(inputs, job_spec(PLAN, LESSONS), silent)


def test_what_is_no_encoder_is_no_base(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        read_base(tmp_path)


def left(**more: bytes) -> dict[str, bytes]:
    files = {**exported().files, REPORT: b"{}", SCORES: b"[1.5, null]\n[]\n", FOLDS: b"[]"}
    return {**files, **more}


def test_what_a_job_left_is_read_whole() -> None:
    found = read_stacked(left())
    assert set(found.files) == {*exported().files, REPORT}
    np.testing.assert_array_equal(found.scores[0], [1.5, np.nan])
    assert len(found.scores[1]) == 0


@pytest.mark.parametrize(
    ("name", "data"),
    [
        (SCORES, b"[x]"), (SCORES, b'["a"]'), (SCORES, b"5"), (FOLDS, b"{"), (REPORT, b"["),
        ("cross-encoder.json", b"{}"), ("cross-encoder.onnx", b"x"), ("tokenizer.json", b""),
    ],
)  # fmt: skip
def test_what_no_job_leaves_is_refused(name: str, data: bytes) -> None:
    with pytest.raises(IntegrityError):
        read_stacked(left(**{name: data}))
    files = left()
    del files[name]
    with pytest.raises(IntegrityError):
        read_stacked(files)


@pytest.mark.train
def test_a_job_goes_on_after_a_kill_and_leaves_what_serves(
    base: Mapping[str, bytes], tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    trainer = LocalProcessTrainer(
        tmp_path, {KIND: COMMAND}, limits=JobLimits(memory_mb=3000, wall_s=300)
    )
    trainer.start("job", KIND, job_inputs(base, LESSONS), job_spec(PLAN, LESSONS))
    deadline, killed = time.monotonic() + 240, False
    while (status := trainer.poll("job")).state == "running":
        assert time.monotonic() < deadline
        done = (tmp_path / "job" / "checkpoint" / "fold-1-of-2.done" / "files.json").exists()
        if done and not killed:
            killed = True
            guard = json.loads((tmp_path / "job" / "attempt-1" / "guard.json").read_bytes())
            kill_group(guard["pid"])
        time.sleep(0.05)
    assert (status.state, status.error) == ("completed", "")
    assert status.attempts == 2
    while (tmp_path / "job" / "checkpoint").exists():  # the guard makes room when all is done
        assert time.monotonic() < deadline
        time.sleep(0.05)
    found = read_stacked(trainer.collect("job"))
    weight, table = choose_weight(LESSONS, found)
    assert table[weight] > table[0.0]
    objects = Objects()
    served = load_cross_encoder(keep_cross_encoder(objects.put, found.files), objects.get)
    question = LESSONS.questions[0]
    scores = served.score(question.query, [LESSONS.texts[i] for i in question.candidates])
    assert int(np.argmax(scores)) == 5


def kill_group(leader: int) -> None:
    import os
    import signal

    os.killpg(leader, signal.SIGKILL)


@pytest.mark.train
@pytest.mark.parametrize("damage", ["one class", "no pair"])
def test_lessons_that_teach_nothing_are_the_jobs_error(
    base: Mapping[str, bytes], tmp_path: Path, damage: str
) -> None:
    kept = slice(0, 1) if damage == "one class" else slice(0, 0)
    poor = Lessons(
        LESSONS.texts, [replace(one, pairs=one.pairs[kept]) for one in LESSONS.questions]
    )
    with pytest.raises(InputError, match="learns from pairs of both kinds"):
        cross_encoder_job(job_inputs(base, poor), job_spec(PLAN, poor), silent)

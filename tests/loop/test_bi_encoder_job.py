"""An encoder tuned in a process of its own, and what that process refuses in one clear line."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.adapters.trainer.job_limits import JobLimits
from predator.adapters.trainer.local_process import LocalProcessTrainer
from predator.domain.errors import InputError, IntegrityError
from predator.learning.anchors import Anchor, AnchorSet
from predator.learning.bi_encoder import PARTS, BiEncoder, Plan, read_parts, save
from predator.learning.lessons import Lesson, Lessons, Question
from predator.loop.training import bi_encoder_job as job
from predator.ports.trainer import JobStatus
from tests.learning.letters import letter_lessons
from tests.search.encoder.tiny import tiny_folder

PLAN = Plan(
    loss="info_nce", seed=3, epochs=4, batch=32, learning_rate=3e-3, max_tokens=16, device="cpu"
)
ID = "si_2026_11_02_001:bi_encoder"


def silent(_what: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return read_parts(tiny_folder(tmp_path_factory.mktemp("tiny")))


def anchors_of(lessons: Lessons) -> list[AnchorSet]:
    """Texts that are to find themselves: any encoder can, unless it broke."""
    texts = list(lessons.texts[:60])
    return [AnchorSet("same", [Anchor(text, i) for i, text in enumerate(texts)], texts, 0.02)]


@pytest.fixture(scope="module")
def inputs(model: dict[str, bytes]) -> dict[str, bytes]:
    lessons = letter_lessons(200, 40)
    return job.job_inputs(model, lessons, anchors_of(lessons))


@pytest.fixture(scope="module")
def spec() -> dict[str, object]:
    return job.job_spec(PLAN, letter_lessons(200, 40), max_tokens=16)


texts = st.text(max_size=20)
numbers = st.integers(0, 3)


@given(
    st.lists(texts, min_size=4, max_size=4),
    st.lists(st.builds(Lesson, texts, numbers, st.just((1, 2)), st.just((0.5, -1.25)))),
    st.lists(st.builds(Question, texts, st.dictionaries(numbers, st.integers(1, 3)))),
)
def test_any_text_gets_through_unchanged(
    known: list[str], train: list[Lesson], dev: list[Question]
) -> None:
    lessons = Lessons(known, train, dev, [0, 2], "some teacher")
    files = job.job_inputs(dict.fromkeys(PARTS, b""), lessons, [])
    sent = json.loads(json.dumps(job.job_spec(PLAN, lessons, max_tokens=16)))
    assert job.read_lessons(files, sent) == lessons


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (job.LESSONS, b"{"),
        (job.LESSONS, b'{"query": "a"}\n'),
        (job.LESSONS, b'{"query": "a", "positive": 999999, "negatives": [], "margins": [], '
                      b'"right": []}\n'),
        (job.DEV, b'{"query": "a", "grades": [[-1, 1]]}\n'),
        (job.DEV, b'{"query": "a", "grades": [["0", 1]]}\n'),
        (job.DEV, b""),
        (job.LESSONS, b""),
    ],
)  # fmt: skip
def test_inputs_that_are_not_what_they_should_be_are_one_clear_line(
    inputs: dict[str, bytes], spec: dict[str, object], name: str, content: bytes
) -> None:
    with pytest.raises(InputError) as raised:
        job.bi_encoder_job({**inputs, name: content}, spec, silent)
    assert "\n" not in str(raised.value)


def test_without_torch_the_job_says_what_to_install(
    inputs: dict[str, bytes], spec: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"predator-search\[train\]"):
        job.bi_encoder_job(inputs, spec, silent)


REPORT = {
    "mix": 0.5,
    "anchors": {"verdict": "PASS", "groups": []},
    "encoder": {"digest": "ab", "dim": 32, "max_tokens": 16},
}


def test_what_a_job_leaves_is_read_back(model: dict[str, bytes]) -> None:
    assert job.read_tuned(save(BiEncoder(model, REPORT))).report == REPORT


@pytest.mark.parametrize(
    "change", [{"anchors": None}, {"anchors": {}}, {"encoder": {}}, {"mix": None}]
)
def test_a_result_that_no_job_leaves_is_refused(
    model: dict[str, bytes], change: Mapping[str, object]
) -> None:
    with pytest.raises(IntegrityError):
        job.read_tuned(save(BiEncoder(model, {**REPORT, **change})))


def started(folder: Path, inputs: dict[str, bytes], spec: dict[str, object]) -> LocalProcessTrainer:
    limits = JobLimits(wall_s=120)
    trainer = LocalProcessTrainer(folder, {job.KIND: job.COMMAND}, limits=limits)
    trainer.start(ID, job.KIND, inputs, spec)
    return trainer


def ended(trainer: LocalProcessTrainer, within_s: float = 120.0) -> JobStatus:
    deadline = time.monotonic() + within_s
    while (status := trainer.poll(ID)).state == "running":
        assert time.monotonic() < deadline, status
        time.sleep(0.1)
    return status


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_the_job_leaves_an_encoder_that_serves_and_the_verdict_of_its_anchors(
    tmp_path: Path, inputs: dict[str, bytes], spec: dict[str, object]
) -> None:
    trainer = started(tmp_path / "jobs", inputs, spec)
    status = ended(trainer)
    assert status.state == "completed", status.error
    tuned = job.read_tuned(trainer.collect(ID))
    assert not tuned.is_original
    files = tuned.export(tmp_path / "cache", max_tokens=16)
    assert (files.digest, files.dim) == (
        tuned.report["encoder"]["digest"],
        tuned.report["encoder"]["dim"],
    )
    assert tuned.report["anchors"]["verdict"] == "PASS"
    assert tuned.report["anchors"]["groups"][0]["n"] == 60


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_a_job_whose_processes_are_killed_goes_on_and_leaves_the_same_encoder(
    tmp_path: Path, inputs: dict[str, bytes], spec: dict[str, object]
) -> None:
    whole = started(tmp_path / "whole", inputs, spec)
    assert ended(whole).state == "completed"
    trainer = started(tmp_path / "killed", inputs, spec)
    folder = next((tmp_path / "killed").glob("si_*"))
    state = folder / job.CHECKPOINT / "state.json"
    while not state.exists():
        assert trainer.poll(ID).state == "running"
        time.sleep(0.01)
    from predator.adapters.trainer.attempt import Attempt

    Attempt(folder / "attempt-1", 1).kill()
    status = ended(trainer)
    assert (status.state, status.attempts) == ("completed", 2)
    left, wanted = trainer.collect(ID), whole.collect(ID)
    assert left["model.safetensors"] == wanted["model.safetensors"]
    assert not (folder / job.CHECKPOINT).exists()

"""A job that takes too much is ended, and told which limit it was."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.trainer.job_limits import JobLimits
from predator.adapters.trainer.local_process import LocalProcessTrainer
from predator.adapters.trainer.vitals import Identity
from predator.domain.errors import InputError
from predator.ports.trainer import JobStatus
from tests.adapters.trainer.jobs import KINDS
from tests.adapters.trainer.watching import at_rest, guard_of, job_process, kill, until
from tests.contracts.trainer import JOB, ended, reached


def outcome(
    tmp_path: Path, kind: str, spec: dict[str, Any] | None = None, **limits: Any
) -> JobStatus:
    trainer = LocalProcessTrainer(tmp_path, KINDS, limits=JobLimits(**limits))
    trainer.start(JOB, kind, {}, spec or {})
    status = ended(trainer)
    assert status.state == "failed"
    at_rest(tmp_path)
    return status


def test_too_much_memory_step_by_step(tmp_path: Path) -> None:
    status = outcome(tmp_path, "memory_hog", memory_mb=200)
    assert status.error == "out of memory: over the limit of 200 MB"
    assert status.attempts == 1
    assert 200 < status.usage["peak_rss_mb"] < 600


def test_too_much_memory_at_once(tmp_path: Path) -> None:
    status = outcome(tmp_path, "one_huge_array", memory_mb=200)
    assert status.error == "out of memory: over the limit of 200 MB"
    assert status.usage["peak_rss_mb"] < 200


def test_too_much_cpu(tmp_path: Path) -> None:
    status = outcome(tmp_path, "cpu_hog", cpu_s=0.5)
    assert status.error == "over the limit of 0.5 s of CPU time"
    assert 0.5 < status.usage["cpu_s"] < 10


def test_too_much_cpu_by_its_children(tmp_path: Path) -> None:
    assert outcome(tmp_path, "family", cpu_s=0.5).error == "over the limit of 0.5 s of CPU time"


def test_too_much_time(tmp_path: Path) -> None:
    status = outcome(tmp_path, "patient", {"steps": 9, "pause_s": 60}, wall_s=0.4)
    assert status.error == "over the limit of 0.4 s of time"
    assert status.usage["wall_s"] > 0.4


def test_a_stopped_job_does_not_outlive_its_time(tmp_path: Path) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS, limits=JobLimits(wall_s=1))
    trainer.start(JOB, "cpu_hog", {}, {})
    reached(trainer, 1)
    kill(job_process(tmp_path), signal.SIGSTOP)
    assert ended(trainer).error == "over the limit of 1 s of time"
    at_rest(tmp_path)


def test_too_large_a_file(tmp_path: Path) -> None:
    status = outcome(tmp_path, "chatter", output_mb=1)
    assert status.error == "OSError: [Errno 27] File too large"


def test_an_exit_without_a_word_is_told_by_its_number(tmp_path: Path) -> None:
    assert outcome(tmp_path / "a", "exits").error == "exit status 3: what a pity"
    assert outcome(tmp_path / "b", "quiet_exit").error == "exit status 4: it said nothing"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_a_job_that_a_signal_ends_is_tried_again_and_then_named(
    tmp_path: Path, number: signal.Signals
) -> None:
    status = outcome(tmp_path, "kills_itself", {"signal": int(number)})
    assert status.attempts == 3
    assert (
        status.error == f"killed by signal {int(number)} ({number.name}), in the last of 3 attempts"
    )


@pytest.mark.flaky(reruns=3, reruns_delay=1)
@pytest.mark.parametrize("kind", ["cpu_hog", "numpy_loop", "lightgbm_loop", "deaf_hog", "family"])
def test_cancel_takes_less_than_two_seconds_whatever_the_job_does(
    tmp_path: Path, kind: str
) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS)
    trainer.start(JOB, kind, {}, {})
    child = reached(trainer, 1).what
    began = time.monotonic()
    trainer.cancel(JOB)
    assert time.monotonic() - began < 2
    at_rest(tmp_path, within_s=0.1)
    if child.isdecimal():
        until(lambda: Identity.of(int(child)) is None)
    assert trainer.poll(JOB).state == "cancelled"


@pytest.mark.flaky(reruns=3, reruns_delay=1)
@pytest.mark.parametrize("whom", ["the guard", "the job", "both"])
def test_cancel_ends_stopped_processes_too(tmp_path: Path, whom: str) -> None:
    trainer = LocalProcessTrainer(tmp_path, KINDS)
    trainer.start(JOB, "cpu_hog", {}, {})
    reached(trainer, 1)
    job, guard = job_process(tmp_path), guard_of(tmp_path)
    for pid in {"the guard": [guard.pid], "the job": [job], "both": [guard.pid, job]}[whom]:
        kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    trainer.cancel(JOB)
    assert time.monotonic() - began < 2
    at_rest(tmp_path, within_s=0.1)


@pytest.mark.parametrize(
    "bad",
    [
        {"cpu_s": 0}, {"wall_s": -1}, {"memory_mb": float("nan")}, {"threads": 0},
        {"attempts": 0}, {"cpu_s": float("inf")}, {"nice": -1}, {"nice": 20}, {"output_mb": 0},
    ],
    ids=str,
)  # fmt: skip
def test_limits_that_limit_nothing_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="the training limit"):
        JobLimits(**bad)

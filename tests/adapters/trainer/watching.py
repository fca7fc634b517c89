"""Looks at a training job's processes from outside."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from predator.adapters.trainer.job_folder import JobFolder
from predator.adapters.trainer.vitals import Identity, session_of
from tests.contracts.trainer import JOB


def folder_of(jobs: Path, job_id: str = JOB) -> Path:
    return jobs / job_id.replace(":", "+")


def guard_of(jobs: Path, job_id: str = JOB) -> Identity:
    """The guard of the last attempt, once it is there."""
    job = JobFolder(job_id, folder_of(jobs, job_id))

    def found() -> bool:
        attempts = job.attempts() if job.exists else []
        return bool(attempts) and attempts[-1].guard is not None

    until(found)
    guard = job.attempts()[-1].guard
    assert guard is not None
    return guard


def job_process(jobs: Path, job_id: str = JOB) -> int:
    """The process that does the work, once there is one beside the guard."""
    guard = guard_of(jobs, job_id)
    until(lambda: len(session_of(guard)) > 1)
    return next(pid for pid in session_of(guard) if pid != guard.pid)


def at_rest(jobs: Path, job_id: str = JOB, within_s: float = 30) -> None:
    """Returns once no process of the last attempt is left."""
    guard = guard_of(jobs, job_id)
    until(lambda: not session_of(guard), within_s)


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    if number == signal.SIGKILL:
        until(lambda: Identity.of(pid) is None)


def until(so: Callable[[], bool], within_s: float = 60) -> None:
    deadline = time.monotonic() + within_s
    while not so():
        assert time.monotonic() < deadline
        time.sleep(0.002)

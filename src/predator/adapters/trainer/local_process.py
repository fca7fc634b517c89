"""Training in a process group of its own on this machine, with limits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from predator.adapters.trainer.attempt import Attempt, read_plain
from predator.adapters.trainer.job_folder import JobFolder
from predator.adapters.trainer.job_limits import JobLimits
from predator.adapters.trainer.naming import check_same, folder_name, ordered, unknown
from predator.adapters.trainer.vitals import Identity
from predator.domain.canonical import sha256_hex
from predator.domain.errors import InputError, IntegrityError, PredatorError
from predator.loop.training.job_child import OUTPUTS
from predator.ports.trainer import JobStatus

GUARD = "predator.adapters.trainer.guard"
PASSED_ON = frozenset({
    "PATH", "PYTHONPATH", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ",
})  # fmt: skip
"""All that a job sees of its starter's environment: whatever else there is may be a secret."""
CANCEL_S, KILL_AFTER_S = 2.0, 1.2
STRAY_S, OVERDUE_S = 1.0, 10.0
"""A guard this long beyond its time limit was stopped, and does not guard any more."""


class LocalProcessTrainer:
    """``Trainer`` whose jobs are folders below ``folder`` and processes on this machine.

    ``kinds`` maps a kind to the arguments of ``python`` that do such a job; the path of the job's
    folder comes after them (:mod:`predator.loop.training.job_child` is their side of it). A job
    lives no longer than the process that started it, and what is left of it is begun again by the
    next ``start`` or ``poll`` of any trainer on the same folder. Exceptions beyond the port's:
    ``PredatorError`` where the folder cannot be written, ``IntegrityError`` where outputs are not
    what the job left.
    """

    def __init__(
        self,
        folder: Path,
        kinds: Mapping[str, Sequence[str]],
        *,
        limits: JobLimits | None = None,
        python: str = sys.executable,
    ) -> None:
        self._folder = folder.expanduser().absolute()
        self._kinds = {kind: list(arguments) for kind, arguments in kinds.items()}
        self._limits = limits or JobLimits()
        self._python = python

    def start(
        self, job_id: str, kind: str, inputs: Mapping[str, bytes], spec: Mapping[str, Any]
    ) -> None:
        job = self._job(job_id)
        self._command(kind)
        order = ordered(kind, inputs, spec)
        with self._explained():
            if not job.exists:
                job.make(order, inputs)
            check_same(job_id, job.about()["digest"], order.digest)
            self._go_on(job)

    def poll(self, job_id: str) -> JobStatus:
        job = self._known(job_id)
        with self._explained():
            self._go_on(job)
            status = job.status()
            if status.state == "failed":
                job.drop(outputs=True)  # nobody begins it again
            return status

    def cancel(self, job_id: str) -> None:
        job = self._known(job_id)
        deadline = time.monotonic() + CANCEL_S
        with self._explained():
            if not job.end("cancelled") and job.status().state != "cancelled":
                return
            # Its guard sees the outcome and ends the job; where it does not, so be it.
            lock = job.lock(wait_s=KILL_AFTER_S)
            while lock is None and time.monotonic() < deadline:
                for attempt in job.attempts():
                    attempt.kill()
                lock = job.lock(wait_s=0.1)
            if lock is None:
                raise PredatorError(
                    f"the processes of the training job {job_id} did not end in {CANCEL_S:g} s",
                    cure=f"It is cancelled all the same; look at {job.path}",
                )
            # A process that its parent forgot holds no lock.
            for attempt in job.attempts():
                attempt.kill()
            job.drop(outputs=True)
            os.close(lock)

    def collect(self, job_id: str) -> Mapping[str, bytes]:
        job = self._known(job_id)
        with self._explained():
            outcome = job.outcome()
            if outcome is None or outcome["state"] != "completed":
                status = job.status()
                state = ": ".join(filter(None, (status.state, status.error)))
                raise PredatorError(
                    f"the training job {job_id} left nothing to collect, it is {state}"
                )
            return _verified(job.attempt(outcome["attempt"]).folder / OUTPUTS, outcome["files"])

    def _go_on(self, job: JobFolder) -> None:
        """Begin the next attempt where no process is left of the last and there is no outcome."""
        lock: int | None = None
        deadline = time.monotonic() + STRAY_S
        while not job.has_ended() and (lock := job.lock()) is None:
            attempts = job.attempts()
            stray = bool(attempts) and self._is_stray(attempts[-1])
            if not stray or time.monotonic() >= deadline:
                return
            attempts[-1].kill()
            time.sleep(0.01)
        if lock is None:
            return
        try:
            if not job.has_ended():
                self._begin_next(job, lock)
        finally:
            os.close(lock)

    def _begin_next(self, job: JobFolder, lock: int) -> None:
        """Called with the lock held, so all processes of earlier attempts are gone."""
        attempts = job.attempts()
        if attempts:
            attempts[-1].kill()  # processes that their parent forgot hold no lock
        if len(attempts) >= self._limits.attempts:
            last = attempts[-1].read("lost.json").get("error", "its processes are gone")
            job.end(
                "failed", attempts[-1], error=f"{last}, in the last of {len(attempts)} attempts"
            )
            return
        attempt = job.attempt(attempts[-1].number + 1 if attempts else 1)
        attempt.folder.mkdir(mode=0o700)
        me = Identity.of(os.getpid())
        assert me is not None  # noqa: S101 - whoever asks, is
        attempt.write(
            "started.json",
            {
                "pid": me.pid,
                "started": me.started,
                "command": [self._python, *self._command(job.about()["kind"])],
                "limits": asdict(self._limits),
            },
        )
        with (attempt.folder / "log.txt").open("ab") as log:
            guard = subprocess.Popen(
                [self._python, "-P", "-m", GUARD, str(job.path), str(attempt.number), str(lock),
                 str(me.pid)],
                env={name: text for name, text in os.environ.items() if name in PASSED_ON},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(lock,),
                start_new_session=True,
            )  # fmt: skip
        # Somebody has to wait for it, or its number stays taken as long as this process lives.
        threading.Thread(target=guard.wait, name=f"reap {job.id}", daemon=True).start()

    def _is_stray(self, attempt: Attempt) -> bool:
        """Whether it should be gone: its guard or its starter is, or its time is long over."""
        starter, guard = attempt.starter, attempt.guard
        if starter is None or guard is None:
            return False
        overdue = guard.age_s > self._limits.wall_s + OVERDUE_S
        return overdue or not guard.lives or not starter.lives

    def _command(self, kind: str) -> list[str]:
        if kind not in self._kinds:
            known = ", ".join(sorted(self._kinds))
            raise InputError(f"there is no kind {kind!r:.80} of training job, only {known}")
        return self._kinds[kind]

    def _job(self, job_id: str) -> JobFolder:
        return JobFolder(job_id, self._folder / folder_name(job_id))

    def _known(self, job_id: str) -> JobFolder:
        job = self._job(job_id)
        if not job.exists:
            raise unknown(job_id)
        return job

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PredatorError(
                f"the folder of training jobs {self._folder} cannot be used: {error.strerror}",
                cure="Make room, or see to its permissions",
            ) from error


def _verified(folder: Path, files: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    present: list[str] = []
    with suppress(FileNotFoundError, NotADirectoryError):
        present = [path.name for path in folder.iterdir()]
    if folder.is_symlink() or set(present) != set(files):
        raise IntegrityError(f"{folder} does not hold the files that the job left")
    found = {}
    for name, about in files.items():
        data = read_plain(folder / name, about["bytes"])
        if data is None or sha256_hex(data) != about["sha256"]:
            raise IntegrityError(f"{folder / name} is not the file that the job left")
        found[name] = data
    return found

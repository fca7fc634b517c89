"""Training in memory, for tests and dry runs: a function takes the place of a process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import Any

from predator.adapters.trainer.naming import (
    check_same,
    folder_name,
    is_file_name,
    one_line,
    ordered,
    unknown,
)
from predator.domain.errors import InputError, PredatorError
from predator.loop.training.job_child import Work
from predator.ports.trainer import JobState, JobStatus


@dataclass
class _Job:
    digest: str
    kind: str
    inputs: Mapping[str, bytes]
    spec: Mapping[str, Any]
    attempts: int = 0
    state: JobState = "running"
    error: str = ""
    steps: list[tuple[str, int, int]] = field(default_factory=list)
    seen: int = 0
    files: Mapping[str, bytes] = field(default_factory=dict)
    result: JobState = "completed"
    present: bool = False


class MemoryTrainer:
    """``Trainer`` that does the work inside ``start`` and lets each ``poll`` see one step of it.

    ``kinds`` maps a kind to its work. The job is running until its last report has been polled
    and has then what the work came to, so a test decides what happens in between.
    """

    def __init__(self, kinds: Mapping[str, Work], *, attempts: int = 3) -> None:
        self._kinds = dict(kinds)
        self._most = attempts
        self._jobs: dict[str, _Job] = {}
        self._lock = RLock()

    def start(
        self, job_id: str, kind: str, inputs: Mapping[str, bytes], spec: Mapping[str, Any]
    ) -> None:
        folder_name(job_id)
        if kind not in self._kinds:
            raise InputError(f"there is no kind {kind!r:.80} of training job")
        digest = ordered(kind, inputs, spec).digest
        with self._lock:
            job = self._jobs.setdefault(job_id, _Job(digest, kind, dict(inputs), dict(spec)))
            check_same(job_id, job.digest, digest)
            self._go_on(job)

    def poll(self, job_id: str) -> JobStatus:
        with self._lock:
            job = self._known(job_id)
            self._go_on(job)
            if job.state == "running":
                if job.seen < len(job.steps):
                    job.seen += 1
                else:
                    job.state = job.result
            what, done, total = job.steps[job.seen - 1] if job.seen else ("", 0, 0)
            error = job.error if job.state == "failed" else ""
            usage = {"cpu_s": 0.0, "wall_s": 0.0, "peak_rss_mb": 0.0}
            return JobStatus(job_id, job.state, what, done, total, error, job.attempts, usage)

    def cancel(self, job_id: str) -> None:
        with self._lock:
            job = self._known(job_id)
            if job.state == "running":
                job.state, job.files = "cancelled", {}

    def collect(self, job_id: str) -> Mapping[str, bytes]:
        with self._lock:
            job = self._known(job_id)
            if job.state != "completed":
                raise PredatorError(
                    f"the training job {job_id} left nothing to collect, it is {job.state}"
                )
            return dict(job.files)

    def lose(self, job_id: str) -> None:
        """Let the running job's process be gone, as after a crash of its machine."""
        with self._lock:
            self._known(job_id).present = False

    def _known(self, job_id: str) -> _Job:
        folder_name(job_id)
        if job_id not in self._jobs:
            raise unknown(job_id)
        return self._jobs[job_id]

    def _go_on(self, job: _Job) -> None:
        if job.state != "running" or job.present:
            return
        if job.attempts >= self._most:
            job.state = "failed"
            job.error = f"its processes are gone, in the last of {job.attempts} attempts"
            return
        job.attempts, job.present, job.seen, job.steps = job.attempts + 1, True, 0, []
        try:
            job.files = dict(
                self._kinds[job.kind](job.inputs, job.spec, lambda *step: job.steps.append(step))
            )
            if not all(map(is_file_name, job.files)):
                raise InputError("it left files with unsafe names")
        except Exception as error:
            job.result, job.error = "failed", one_line(f"{type(error).__name__}: {error}")

"""Training beside serving: a job in a process of its own, with limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

JobState = Literal["running", "completed", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class JobStatus:
    """Where a job is: ``done`` of ``total`` units of ``what``; ``error`` is one line."""

    id: str
    state: JobState
    what: str = ""
    done: int = 0
    total: int = 0
    error: str = ""
    attempts: int = 1
    usage: Mapping[str, float] = field(default_factory=dict)
    """``cpu_s``, ``wall_s`` and ``peak_rss_mb`` of all attempts, as far as known."""


class Trainer(Protocol):
    """Start, poll, cancel, collect."""

    def start(
        self, job_id: str, kind: str, inputs: Mapping[str, bytes], spec: Mapping[str, Any]
    ) -> None:
        """Begin a job of a known ``kind``; idempotent by ``job_id``.

        A job whose process is gone without a result (a crash of the machine or of its starter)
        is begun again as the next attempt of the same job; a completed, failed or cancelled one
        stays as it is. ``InputError`` where the id is known with other inputs or spec.
        """
        ...

    def poll(self, job_id: str) -> JobStatus:
        """Where the job is; ``InputError`` for an unknown id."""
        ...

    def cancel(self, job_id: str) -> None:
        """End the job and all its processes within 2 s; nothing of it can be collected then."""
        ...

    def collect(self, job_id: str) -> Mapping[str, bytes]:
        """The files a completed job left, verified by hash; ``PredatorError`` for any other."""
        ...

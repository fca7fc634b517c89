"""A job on disk: what was asked, its attempts, and the one outcome it can ever have.

``JOB/job.json``, ``JOB/inputs/``: the order; the folder appears whole or not at all.
``JOB/alive``: locked as long as any process of the running attempt lives, stopped ones too; who
gets the lock may begin the next attempt, so that there is never a second one beside the first.
``JOB/attempt-N/``: where the Nth attempt works. ``JOB/outcome.json``: made by a hard link, which
the kernel allows once, so that of a completion and a cancellation one wins.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from predator.adapters.trainer.attempt import Attempt
from predator.adapters.trainer.naming import Order, one_line
from predator.domain.errors import IntegrityError
from predator.locks import sync_folder
from predator.loop.training.job_child import (
    ABOUT,
    CHECKPOINT,
    INPUTS,
    OUTPUTS,
    PROGRESS,
    replace_file,
)
from predator.ports.trainer import JobState, JobStatus

_OUTCOME, _ALIVE = "outcome.json", "alive"
_ATTEMPT = re.compile(r"attempt-(\d+)\Z", re.ASCII)
_ABANDONED_S = 3600.0
_FORGOTTEN_S = 7 * 86_400.0
"""A job that nobody has gone on with for so long is begun from nothing, if ever."""
_PROGRESS_BYTES = 4096
_POLL_S = 0.005


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The folder of one job; ``id`` is the job's own name, ``path`` where it lies."""

    id: str
    path: Path

    @property
    def exists(self) -> bool:
        return (self.path / ABOUT).is_file()

    def make(self, order: Order, inputs: Mapping[str, bytes]) -> None:
        """Let the folder appear with all its inputs, unless somebody else was first."""
        parent = self.path.parent
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _drop_abandoned(parent)
        _make_room(parent)
        beside = parent / f".{self.path.name}.{secrets.token_hex(8)}"
        try:
            (beside / INPUTS).mkdir(mode=0o700, parents=True)
            beside.chmod(0o700)
            for name, data in inputs.items():
                replace_file(beside / INPUTS / name, data, durable=True)
            about = {"id": self.id, "kind": order.kind, "spec": order.spec,
                     "inputs": order.inputs, "digest": order.digest}  # fmt: skip
            replace_file(beside / ABOUT, json.dumps(about).encode(), durable=True)
            sync_folder(beside / INPUTS)
            sync_folder(beside)
            try:
                beside.rename(self.path)
            except OSError:
                if not self.exists:
                    raise
            sync_folder(parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def about(self) -> dict[str, Any]:
        """The order as it was written down."""
        return self._record(ABOUT)

    def attempts(self) -> list[Attempt]:
        """All attempts, first to last."""
        found = [_ATTEMPT.match(path.name) for path in self.path.iterdir()]
        numbers = sorted(int(match[1]) for match in found if match)
        return [self.attempt(number) for number in numbers]

    def attempt(self, number: int) -> Attempt:
        return Attempt(self.path / f"attempt-{number}", number)

    def lock(self, wait_s: float = 0.0) -> int | None:
        """The lock as an open file, ``None`` where the running attempt (or another starter)
        still holds it after ``wait_s``."""
        fd = os.open(self.path / _ALIVE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return fd
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(fd)
                    return None
            time.sleep(_POLL_S)

    def has_ended(self) -> bool:
        """Whether there is an outcome."""
        return (self.path / _OUTCOME).exists()

    def outcome(self) -> dict[str, Any] | None:
        """How the job ended; ``None`` while it has not."""
        return self._record(_OUTCOME) if self.has_ended() else None

    def end(self, state: JobState, by: Attempt | None = None, **more: Any) -> bool:
        """Write down the outcome; whether it is this one.

        ``False`` where there is an outcome already, or where it comes from an attempt that
        another one has followed.
        """
        if by is not None and self.attempts()[-1] != by:
            return False
        beside = self.path / f".{_OUTCOME}.{secrets.token_hex(8)}"
        record = {"state": state, "attempt": by.number if by else None, **more}
        try:
            replace_file(beside, json.dumps(record).encode(), durable=True)
            (self.path / _OUTCOME).hardlink_to(beside)
        except FileExistsError:
            return False
        finally:
            beside.unlink(missing_ok=True)
        sync_folder(self.path)
        return True

    def drop(self, *, outputs: bool) -> None:
        """Free the room of an ended job: its inputs and where it would have gone on, and with
        ``outputs`` what it made."""
        shutil.rmtree(self.path / INPUTS, ignore_errors=True)
        shutil.rmtree(self.path / CHECKPOINT, ignore_errors=True)
        if outputs:
            for attempt in self.attempts():
                shutil.rmtree(attempt.folder / OUTPUTS, ignore_errors=True)

    def status(self) -> JobStatus:
        """Where the job is, from what lies here."""
        attempts = self.attempts()
        outcome = self.outcome() or {"state": "running"}
        usages = [attempt.read("usage.json") for attempt in attempts]
        progress = attempts[-1].read(PROGRESS, _PROGRESS_BYTES) if attempts else {}
        return JobStatus(
            self.id,
            outcome["state"],
            one_line(progress.get("what", ""))[:100],
            _count(progress.get("done")),
            _count(progress.get("total")),
            str(outcome.get("error", "")),
            max(1, len(attempts)),
            {
                "cpu_s": round(sum(_number(usage.get("cpu_s")) for usage in usages), 3),
                "wall_s": round(sum(_number(usage.get("wall_s")) for usage in usages), 3),
                "peak_rss_mb": max((_number(u.get("peak_rss_mb")) for u in usages), default=0.0),
            },
        )

    def _record(self, name: str) -> dict[str, Any]:
        try:
            value = json.loads((self.path / name).read_bytes())
            if isinstance(value, dict):
                return value
        except (ValueError, RecursionError):
            pass
        raise IntegrityError(
            f"{self.path / name} is not what was written", cure="Remove the job's folder"
        )


def _drop_abandoned(parent: Path) -> None:
    """Remove what starters that were killed long ago left half-made."""
    for path in parent.glob(".*"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _ABANDONED_S:
                shutil.rmtree(path)


def _make_room(parent: Path) -> None:
    """Drop what ended jobs do not need any more, should their own end have been cut off, and
    whole jobs that were forgotten before they ended: a checkpoint has hundreds of MB."""
    for path in parent.glob("[!.]*"):
        job = JobFolder(path.name, path)
        with suppress(OSError, IntegrityError):
            if (outcome := job.outcome()) is not None:
                job.drop(outputs=outcome.get("state") != "completed")
            elif time.time() - _touched(path) > _FORGOTTEN_S and (lock := job.lock()) is not None:
                shutil.rmtree(path)
                os.close(lock)


def _touched(job: Path) -> float:
    """When something last happened to a job (unix s)."""
    return max(path.stat().st_mtime for path in (job, *job.glob("attempt-*/*")))


def _count(value: Any) -> int:
    return value if type(value) is int and 0 <= value < 2**53 else 0


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < 2**53 else 0.0

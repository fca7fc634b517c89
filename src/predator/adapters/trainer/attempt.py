"""One try at a job, in a folder of its own, and what its processes leave there."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from predator.adapters.trainer.vitals import Identity, session_of
from predator.loop.training.job_child import replace_file

RECORD_BYTES = 1 << 20
_KILL_ROUNDS = 20
"""A process may fork while it is killed; one in the kernel's hands may take its time to go."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at the job, in a folder of its own."""

    folder: Path
    number: int

    def write(self, name: str, value: Mapping[str, Any]) -> None:
        replace_file(self.folder / name, json.dumps(value).encode())

    def read(self, name: str, most: int = RECORD_BYTES) -> dict[str, Any]:
        """A small JSON object that was written here; empty where there is none."""
        try:
            with (self.folder / name).open("rb") as file:
                value = json.loads(file.read(most))
        except (OSError, ValueError, RecursionError):
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def starter(self) -> Identity | None:
        """The process that began it."""
        return _identity(self.read("started.json"))

    @property
    def guard(self) -> Identity | None:
        """The leader of its process group, once it has got that far."""
        return _identity(self.read("guard.json"))

    def kill(self) -> None:
        """End all its processes at once, stopped ones too."""
        guard = self.guard
        for _ in range(_KILL_ROUNDS):
            members = [] if guard is None else session_of(guard)
            if not members:
                return
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.002)


def read_plain(path: Path, most: int) -> bytes | None:
    """The bytes of a plain file of at most ``most`` bytes; ``None`` for anything else."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size > most:
        os.close(fd)
        return None
    with os.fdopen(fd, "rb") as file:
        data = file.read(most + 1)
    return data if len(data) <= most else None


def _identity(value: Mapping[str, Any]) -> Identity | None:
    pid, started = value.get("pid"), value.get("started")
    return Identity(pid, started) if type(pid) is int and type(started) is int else None

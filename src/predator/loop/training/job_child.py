"""The child's side of a training job: what it is given, and where its answer goes.

A job's folder holds ``job.json`` (spec, hashes of the inputs) and ``inputs/``. The child works in
the folder of its attempt, where it leaves ``progress.json``, and ``out/`` or ``error.json``; the
process that guards it decides what becomes of them. Nothing but the standard library is imported
here, since the guard imports it too.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from predator.domain.canonical import sha256_hex
from predator.domain.errors import IntegrityError

ABOUT, INPUTS, OUTPUTS = "job.json", "inputs", "out"
CHECKPOINT = "checkpoint"
"""Where an attempt finds what a killed one has got done, beside the inputs; up to the work."""
PROGRESS, ERROR = "progress.json", "error.json"

Report = Callable[[str, int, int], None]
"""``report(what, done, total)``."""
Work = Callable[[Mapping[str, bytes], Mapping[str, Any], Report], Mapping[str, bytes]]
"""``work(inputs, spec, report)`` gives the job's files; what it raises is the job's error."""

REPORT_EVERY_S = 0.1


def run(job: Path, work: Work, here: Path = Path()) -> int:
    """Do ``work`` on the inputs of the folder ``job``, leave its files ``here``; the exit code."""
    try:
        about = json.loads((job / ABOUT).read_bytes())
        inputs = {
            name: _verified(job / INPUTS / name, digest) for name, digest in about["inputs"].items()
        }
        files = work(inputs, about["spec"], reporter(here / PROGRESS))
        (here / OUTPUTS).mkdir(exist_ok=True)
        for name, data in files.items():
            (here / OUTPUTS / name).write_bytes(data)
    except Exception as error:
        told = {
            "error": f"{type(error).__name__}: {error}",
            "out_of_memory": isinstance(error, MemoryError),
        }
        replace_file(here / ERROR, json.dumps(told).encode())
        with suppress(OSError):  # the log may be what is full
            traceback.print_exc()
        return 1
    return 0


def reporter(path: Path) -> Report:
    """Writes progress to ``path``, at most every tenth of a second and whenever something ends."""
    last = -REPORT_EVERY_S

    def report(what: str, done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < REPORT_EVERY_S and done < total:
            return
        last = now
        replace_file(path, json.dumps({"what": what, "done": done, "total": total}).encode())

    return report


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Let ``path`` hold ``data``, whole at any moment; ``durable`` also after a power cut."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _verified(path: Path, digest: str) -> bytes:
    data = path.read_bytes()
    if sha256_hex(data) != digest:
        raise IntegrityError(f"the job's input {path.name} is not what it was started with")
    return data

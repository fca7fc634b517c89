"""A training job that somebody waits for: the same inputs are trained on once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from predator.bootstrap.ring import trainer_of
from predator.config import Settings
from predator.domain.canonical import digest_of, sha256_hex
from predator.domain.errors import InputError

POLL_S = 0.5


def outputs_of(
    settings: Settings,
    kind: str,
    inputs: Mapping[str, bytes],
    spec: Mapping[str, Any],
    report: Callable[[str, int, int], None],
) -> Mapping[str, bytes]:
    """The files of a job of ``kind``, run now or found; ``InputError`` where it leaves none."""
    name = digest_of([{n: sha256_hex(data) for n, data in inputs.items()}, spec])
    job, trainer = f"{kind.replace('_', '-')}-{name[:24]}", trainer_of(settings)
    trainer.start(job, kind, inputs, spec)
    while (status := trainer.poll(job)).state == "running":
        report(status.what or kind, status.done, max(status.total, 1))
        time.sleep(POLL_S)
    if status.state != "completed":
        raise InputError(f"the job {kind} {status.state}: {status.error}")
    return trainer.collect(job)

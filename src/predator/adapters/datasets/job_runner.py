"""Runs one DVC job in its own process group, and says in one line why it failed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from predator.adapters.datasets.dvc_job import STAGE_FAILED
from predator.domain.errors import PredatorError

_TAIL_BYTES = 8192


def run_job(root: Path, name: str, request: Mapping[str, Any], lock: int) -> None:
    """Run ``name`` in ``root``; the child shares the flock ``lock`` and ends when we end.

    Raises ``PredatorError`` with the last line that the stage, or DVC, wrote to its errors.
    """
    lifeline, ours = os.pipe()
    # -P: a module lying in the working folder is not imported in place of a real one.
    module = ["-P", "-m", "predator.adapters.datasets.dvc_job", name, json.dumps(dict(request))]
    try:
        with tempfile.TemporaryFile() as errors:
            try:
                job = subprocess.Popen(
                    [sys.executable, *module, str(lifeline)],
                    cwd=root,
                    env=_environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=(lifeline, lock),
                    start_new_session=True,
                )
            finally:
                os.close(lifeline)
            code = _wait(job)
            if code:
                raise PredatorError(_cause(name, code, _last_line(errors)))
    finally:
        os.close(ours)


def _wait(job: subprocess.Popen[bytes]) -> int:
    try:
        code = job.wait()
    except BaseException:
        _kill(job.pid)
        job.wait()
        raise
    if code < 0:
        _kill(job.pid)
    return code


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """Ours, without what would bend DVC or the stage's ``python``, and with nothing sent out.

    DVC's folders are relative to the job's: it expands ``$`` in an absolute one.
    """
    dropped = ("DVC_", "PYENV_", "GIT_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return kept | {
        "DVC_NO_ANALYTICS": "1",
        "DVC_GLOBAL_CONFIG_DIR": ".dvc/tmp/none",
        "DVC_SYSTEM_CONFIG_DIR": ".dvc/tmp/none",
        "DVC_SITE_CACHE_DIR": ".dvc/tmp/site",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PYTHONUTF8": "1",
        "SHELL": "/bin/sh",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)]),
    }


def _last_line(errors: IO[bytes]) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - _TAIL_BYTES))
    text = errors.read().decode("utf-8", "replace")
    lines = ["".join(c for c in line if c.isprintable()).strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line), "")[:500]


def _cause(name: str, code: int, line: str) -> str:
    tool = "GTO" if name == "register" else "DVC"
    if code == STAGE_FAILED:
        return f"the dataset stage failed: {line or 'it said nothing'}"
    if code < 0:
        return f"{tool} was killed by signal {-code}"
    return f"{tool} failed: {line or f'exit status {code}'}"

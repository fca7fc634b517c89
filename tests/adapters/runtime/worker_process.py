"""A nursery of worker processes: they are forked from one that has everything imported.

``python -m tests.adapters.runtime.worker_process URL FOLDER LEASE_S`` reads executor ids from its
standard input, starts a worker for each, and answers with its process id. It ends with its input.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import dbos
import psycopg

import predator.adapters.runtime.dbos_worker
from predator.ports.runtime import Flow, Json, Runtime

assert dbos
assert psycopg


def counting(executor_id: str, folder: Path) -> Flow:
    """A flow of numbered steps, each with an effect that is there once, and a line in the log."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    effects = folder / "effects"
    effects.touch()

    def work(number: int, pause_s: float) -> Json:
        os.write(log, f"{executor_id} start {number}\n".encode())
        time.sleep(pause_s)
        if f"{number}" not in effects.read_text().split():
            with effects.open("a") as file:
                file.write(f"{number}\n")
        os.write(log, f"{executor_id} end {number}\n".encode())
        return executor_id

    def flow(runtime: Runtime, arguments: Json) -> Json:
        numbers = range(arguments["steps"])
        return [
            runtime.step(f"step {number}", partial(work, number, arguments["pause_s"]))
            for number in numbers
        ]

    return flow


def be_worker(url: str, folder: Path, lease_s: float, executor_id: str) -> None:
    with predator.adapters.runtime.dbos_worker.DbosWorker(
        url,
        executor_id,
        {"count": counting(executor_id, folder)},
        heartbeat_s=lease_s / 5,
        lease_s=lease_s,
        poll_s=0.05,
    ):
        while os.getppid() != 1:
            time.sleep(0.2)


def main(url: str, folder: str, lease_s: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    say("ready")
    children = []
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                be_worker(url, Path(folder), float(lease_s), line.strip())
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        children.append(child)
        say(f"{child}")
    for child in children:
        end(child)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def end(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
    except ProcessLookupError:
        return


class Nursery:
    """The nursery as its user sees it; whoever it started ends with it."""

    def __init__(self, url: str, folder: Path, *, lease_s: float) -> None:
        self._command = [sys.executable, "-m", __name__, url, str(folder), f"{lease_s}"]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._answer() == "ready"
        return self

    def start(self, executor_id: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{executor_id}\n")
        self._process.stdin.flush()
        return int(self._answer())

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

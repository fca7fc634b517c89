"""The process between a trainer and its job: it begins the job, holds it to its limits, and
writes down how it ended. ``python -m predator.adapters.trainer.guard JOB N LOCK STARTER``.

It leads a process group in which the job is; whatever happens, the group ends with it. Its one
thread looks twenty times a second whether its starter still lives: the number of one's parent is
always right, while a pipe can be held open by a process that never knew it had it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from predator.adapters.trainer.attempt import Attempt, read_plain
from predator.adapters.trainer.confined import Confined
from predator.adapters.trainer.job_folder import JobFolder
from predator.adapters.trainer.job_limits import THREAD_SETTINGS, JobLimits
from predator.adapters.trainer.naming import is_file_name, one_line
from predator.adapters.trainer.vitals import Identity, usage
from predator.domain.canonical import sha256_hex
from predator.locks import sync_folder
from predator.loop.training.job_child import ERROR, OUTPUTS

LOOK_S, USAGE_S, GRACE_S = 0.05, 0.5, 0.5
OUTPUT_FILES = 64
_WORDS_BYTES = 4096


class Guard:
    """Watches one attempt."""

    def __init__(self, job: JobFolder, attempt: Attempt, starter: int) -> None:
        told = attempt.read("started.json")
        self._job, self._attempt, self._starter = job, attempt, starter
        self._limits = JobLimits(**told["limits"])
        self._command = [*told["command"], str(job.path)]
        self._began = self._written = time.monotonic()
        self._cpu_s = self._peak_rss_mb = 0.0

    def watch(self, lock: int) -> None:
        """Run the job to its end."""
        me = Identity.of(os.getpid())
        assert me is not None  # noqa: S101 - whoever asks, is
        self._attempt.write("guard.json", {"pid": me.pid, "started": me.started})
        if self._job.has_ended():
            return
        try:
            child = self._begin(lock)
        except (OSError, subprocess.SubprocessError) as error:
            self._fail(f"the job cannot be begun: {error}")
            return
        poller = select.poll()
        poller.register(os.pidfd_open(child), select.POLLIN)
        while True:
            poller.poll(LOOK_S * 1000)
            pid, status, used = os.wait4(child, os.WNOHANG)
            if pid:
                self._cpu_s = max(self._cpu_s, used.ru_utime + used.ru_stime)
                self._peak_rss_mb = max(self._peak_rss_mb, used.ru_maxrss / 1024)
                self._keep_usage()
                self._conclude(status)
                return
            if os.getppid() != self._starter:
                self.lost("the process that started it is gone")
                return
            if self._job.has_ended():
                self._end_gently(child)
                return
            if self._beyond_limits(child):
                return

    def _begin(self, lock: int) -> int:
        # A child that is stopped before it has become the job would hold this process up.
        signal.signal(signal.SIGALRM, lambda *_: self._give_up_where_in_vain())
        signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
        try:
            return self._spawn(lock)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _give_up_where_in_vain(self) -> None:
        late = time.monotonic() - self._began > self._limits.wall_s
        if late or os.getppid() != self._starter or self._job.has_ended():
            os.killpg(0, signal.SIGKILL)

    def _spawn(self, lock: int) -> int:
        (self._attempt.folder / "tmp").mkdir(exist_ok=True)
        with (self._attempt.folder / "log.txt").open("ab") as log:
            child = subprocess.Popen(
                self._command,
                cwd=self._attempt.folder,
                env={**os.environ, **self._settings()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The job holds the lock too: it counts as alive until it is gone itself.
                pass_fds=(lock,),
                preexec_fn=Confined(self._limits, os.getpid()),  # noqa: PLW1509 - one thread
            )
        # This class reaps it itself, for what it has used.
        child.returncode = 0
        return child.pid

    def _settings(self) -> dict[str, str]:
        return {
            **dict.fromkeys(THREAD_SETTINGS, str(self._limits.threads)),
            "TOKENIZERS_PARALLELISM": "false",
            "TMPDIR": str(self._attempt.folder / "tmp"),
            "HOME": str(self._attempt.folder),
        }

    def _beyond_limits(self, child: int) -> bool:
        cpu_s, rss_mb = usage(child)
        self._cpu_s = max(self._cpu_s, cpu_s)
        self._peak_rss_mb = max(self._peak_rss_mb, rss_mb)
        wall_s = time.monotonic() - self._began
        if time.monotonic() - self._written >= USAGE_S:
            self._keep_usage()
        limits = self._limits
        if rss_mb > limits.memory_mb:
            return self._fail(self._out_of_memory())
        if self._cpu_s > limits.cpu_s:
            return self._fail(self._out_of_cpu())
        if wall_s > limits.wall_s:
            return self._fail(f"over the limit of {limits.wall_s:g} s of time")
        return False

    def _conclude(self, status: int) -> None:
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGXCPU:
            self._fail(self._out_of_cpu())
        elif code < 0:
            self.lost(f"killed by signal {-code} ({signal.Signals(-code).name})")
        elif code > 0:
            self._fail(self._reason(code))
        else:
            self._complete()

    def _complete(self) -> None:
        most = int(self._limits.output_mb * 2**20)
        files: dict[str, Any] = {}
        folder = self._attempt.folder / OUTPUTS
        names: list[str] = []
        if folder.is_dir() and not folder.is_symlink():
            names = sorted(path.name for path in folder.iterdir())
        for name in names[: OUTPUT_FILES + 1]:
            data = read_plain(folder / name, most) if is_file_name(name) else None
            if data is None or len(files) == OUTPUT_FILES:
                self._fail(
                    f"it left {name!r:.80} among its files: at most {OUTPUT_FILES} plain files of "
                    f"{self._limits.output_mb:g} MB together are taken"
                )
                return
            files[name] = {"sha256": sha256_hex(data), "bytes": len(data)}
            most -= len(data)
            _sync(folder / name)
        if names:
            sync_folder(folder)
        if self._job.end("completed", self._attempt, files=files):
            self._job.drop(outputs=False)

    def _reason(self, code: int) -> str:
        told = self._attempt.read(ERROR)
        words = str(told.get("error") or self._last_words())
        # What C++ and Rust say when an allocation fails; neither raises Python's own error.
        starved = ("std::bad_alloc", "bad allocation", "memory allocation of")
        if told.get("out_of_memory") or any(cry in words for cry in starved):
            return self._out_of_memory()
        return words if told.get("error") else f"exit status {code}: {words or 'it said nothing'}"

    def _last_words(self) -> str:
        with (self._attempt.folder / "log.txt").open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _WORDS_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
        return next((line for line in reversed(lines) if line.strip()), "")

    def _out_of_memory(self) -> str:
        return f"out of memory: over the limit of {self._limits.memory_mb:g} MB"

    def _out_of_cpu(self) -> str:
        return f"over the limit of {self._limits.cpu_s:g} s of CPU time"

    def _fail(self, reason: str) -> bool:
        self._keep_usage()
        self._job.end("failed", self._attempt, error=one_line(reason))
        return True

    def lost(self, reason: str) -> None:
        """No fault that the next attempt would have for sure."""
        self._keep_usage()
        with suppress(OSError):
            self._attempt.write("lost.json", {"error": one_line(reason)})

    def _keep_usage(self) -> None:
        self._written = time.monotonic()
        used: Mapping[str, float] = {
            "cpu_s": round(self._cpu_s, 3),
            "wall_s": round(self._written - self._began, 3),
            "peak_rss_mb": round(self._peak_rss_mb, 1),
        }
        # A full disk must not end the job for want of its own statistics.
        with suppress(OSError):
            self._attempt.write("usage.json", used)

    def _end_gently(self, child: int) -> None:
        """The job was cancelled."""
        os.killpg(0, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while time.monotonic() < deadline and not os.wait4(child, os.WNOHANG)[0]:
            time.sleep(0.01)
        self._keep_usage()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def main() -> NoReturn:
    """Watch the attempt named on the command line; nothing of the group outlives this."""
    path, number, lock, starter = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    signal.signal(signal.SIGTERM, lambda *_: None)  # for the job alone, whose group is this one
    try:
        job = JobFolder(path.name, path)
        guard = Guard(job, job.attempt(number), starter)
        try:
            guard.watch(lock)
        except Exception as error:
            traceback.print_exc()
            guard.lost(f"its guard failed: {error}")
    finally:
        sys.stderr.flush()
        os.killpg(0, signal.SIGKILL)
    raise SystemExit(1)  # never reached: the line above ended this process too


if __name__ == "__main__":
    main()

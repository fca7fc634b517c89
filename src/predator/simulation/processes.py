"""The platform and its users as processes of their own, started and ended by a local run."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import httpx

from predator.domain.errors import InputError, PredatorError

STOP_S = 10.0


class _Child:
    """A process in a session of its own: a ctrl-C reaches us alone, and we end it in order."""

    def __init__(self, command: list[str], log: Path) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        self._stderr: IO[bytes] = log.open("ab")
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
        )
        self._reader: threading.Thread | None = None

    def last_words(self) -> str:
        """The end of what it wrote to its log, in one line."""
        text = self._log.read_bytes()[-600:].decode(errors="replace")
        return " ".join(text.split())[-300:]

    def stop(self) -> int:
        """Close its standard input (its sign to stop); kill it if it does not."""
        assert self.process.stdin is not None  # noqa: S101 - opened as a pipe above
        with suppress(OSError):
            self.process.stdin.close()
        try:
            return self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait(STOP_S)
        finally:
            self._close_pipes()

    def _read_on(self, read: Callable[[], object]) -> None:
        """Keep its output from filling the pipe; what comes is read to the end."""
        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()

    def _close_pipes(self) -> None:
        self._stderr.close()
        if self._reader is not None:
            self._reader.join(STOP_S)
        if self.process.stdout is not None and not (self._reader and self._reader.is_alive()):
            self.process.stdout.close()


class PlatformProcess(_Child):
    """``predator serve`` on a run's folder."""

    def __init__(self, run: Path, log: Path, overrides: Mapping[str, str]) -> None:
        settings = [
            part for name, value in overrides.items() for part in ("--set", f"{name}={value}")
        ]
        command = [sys.executable, "-m", "predator", "serve", "--run", str(run), "--with-parent"]
        super().__init__([*command, *settings], log)
        self.url = ""

    def wait_ready(self, timeout_s: float = 60) -> str:
        """The URL, once a release answers; ``PredatorError`` with its last words if it dies."""
        assert self.process.stdout is not None  # noqa: S101 - opened as a pipe above
        line = self.process.stdout.readline().decode().strip()
        if not line.startswith("http"):
            code = self.process.wait(STOP_S)
            kind = InputError if code == InputError.exit_code else PredatorError
            raise kind(f"the platform did not start: {self.last_words()}")
        self._read_on(self.process.stdout.read)
        self.url = line
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2, trust_env=False).status_code == 200:
                    return self.url
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise PredatorError(f"the platform did not get ready: {self.last_words()}")


class UsersProcess(_Child):
    """The traffic generator, told what to ask over its standard input."""

    def __init__(
        self, url: str, world: Path, log: Path, *, rate: float, users: int, seed: int,
        mix: Mapping[str, float],
    ) -> None:  # fmt: skip
        super().__init__(
            [
                sys.executable, "-m", "predator.simulation.traffic", "--url", url,
                "--world", str(world), "--rate", str(rate), "--users", str(users),
                "--seed", str(seed), "--mix", json.dumps(dict(mix)),
                "--max-in-flight", "1000", "--timeout-s", "30",
            ],
            log,
        )  # fmt: skip
        self.last: dict[str, Any] = {}
        self._read_on(self._read)

    def ask(self, mix: Mapping[str, float]) -> None:
        """Change what users ask about."""
        assert self.process.stdin is not None  # noqa: S101 - opened as a pipe above
        line = json.dumps({"cmd": "mix", "weights": dict(mix)}) + "\n"
        try:
            self.process.stdin.write(line.encode())
            self.process.stdin.flush()
        except OSError as error:
            raise PredatorError(f"the simulated users are gone: {self.last_words()}") from error

    def finish(self) -> dict[str, Any]:
        """Stop, and return the final report: sent, ok, failed, events, latencies."""
        self.stop()
        return self.last

    def _read(self) -> None:
        assert self.process.stdout is not None  # noqa: S101 - opened as a pipe above
        for line in self.process.stdout:
            try:
                self.last = json.loads(line)
            except ValueError:
                continue

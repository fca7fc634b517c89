"""Lines in and out of this process without ever holding up its event loop.

Threads and raw descriptors, not asyncio's pipes: those refuse files and ``/dev/null``, and a
buffered reader that a daemon thread still holds aborts the interpreter at exit.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable

_LONGEST_LINE = 2**20
_WAITING_LINES = 64


def follow_lines(
    descriptor: int, on_line: Callable[[bytes], None], on_end: Callable[[], None]
) -> None:
    """Call ``on_line`` for each line, and ``on_end`` at the end, from a thread of its own.

    A line of more than a mebibyte counts as the end.
    """

    def read() -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while len(pending) <= _LONGEST_LINE and (data := os.read(descriptor, 2**16)):
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    if line.strip():
                        on_line(line)
        on_end()

    threading.Thread(target=read, name="lines-in", daemon=True).start()


class LineWriter:
    """Writes lines in order; where the reader does not keep up, lines are dropped.

    ``on_broken`` is called once, from the writer's thread, when the reader is gone.
    """

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._lines: queue.Queue[bytes | None] = queue.Queue(_WAITING_LINES)
        self._thread = threading.Thread(target=self._write, name="lines-out", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        with contextlib.suppress(queue.Full):
            self._lines.put_nowait(line + b"\n")

    def close(self, last: bytes, timeout_s: float) -> None:
        """Write ``last`` and wait until everything is out, at most ``timeout_s``."""
        for line in (last + b"\n", None):
            with contextlib.suppress(queue.Full):
                self._lines.put(line, timeout=timeout_s)
        self._thread.join(timeout_s)

    def _write(self) -> None:
        try:
            while (line := self._lines.get()) is not None:
                while line:
                    line = line[os.write(self._descriptor, line) :]
        except OSError:
            self._on_broken()

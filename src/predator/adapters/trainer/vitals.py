"""What Linux knows of a process: which one it is, and what it and its descendants use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
_GONE = {"Z", "X", "x"}


@dataclass(frozen=True, slots=True)
class Identity:
    """A process for good: numbers are used again, a number with its start (in ticks) is not."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The process that has this number now; ``None`` where it is gone or only waits to be
        reaped."""
        fields = _stat(pid)
        return None if fields is None or fields[0] in _GONE else cls(pid, int(fields[19]))

    @property
    def lives(self) -> bool:
        """Whether it is still there. A stopped process is."""
        return Identity.of(self.pid) == self

    @property
    def age_s(self) -> float:
        """Seconds since it began, by the clock that nobody sets."""
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        return uptime - self.started / _TICKS


def session_of(leader: Identity) -> list[int]:
    """The living processes of the session that ``leader`` leads, or led until it went."""
    members = []
    for pid in [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]:
        fields = _stat(pid)
        if fields is None or int(fields[3]) != leader.pid:
            continue
        # A session's number is given away again only once it is empty: then this is another one.
        if pid == leader.pid and int(fields[19]) != leader.started:
            return []
        if fields[0] not in _GONE:
            members.append(pid)
    return members


def usage(pid: int) -> tuple[float, float]:
    """CPU seconds and resident MB of a process and all its descendants."""
    cpu_ticks, resident = 0, 0
    for one in _tree(pid):
        fields = _stat(one)
        if fields is not None:
            # Its own time in user and kernel mode, and that of children it has waited for.
            cpu_ticks += sum(int(ticks) for ticks in fields[11:15])
            resident += int(fields[21])
    return cpu_ticks / _TICKS, resident * _PAGE_MB


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from _tree(int(child))


def _stat(pid: int) -> list[str] | None:
    """Fields of ``/proc/PID/stat`` from the state on (proc(5) counts it as the third)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name before them is in parentheses and may hold anything.
    return text[text.rindex(")") + 2 :].split()

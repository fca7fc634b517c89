"""Progress for people: stations as headings, long work as a bar with an ETA, facts as lines."""

from __future__ import annotations

import time

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from predator.edge.cli.shown import safe

SHOWN_AFTER_S = 1.0


class ConsoleProgress:
    """Writes to the terminal; without one, bars become a line each ten seconds."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._started = time.monotonic()
        self._bar: Progress | None = None
        self._what = ""
        self._since = 0.0
        self._line_at = 0.0

    def station(self, title: str, detail: str = "") -> None:
        self._end()
        tail = f" [dim]{escape(safe(detail))}[/]" if detail else ""
        self.console.print(f"[cyan]{self._clock()}[/] [bold]{escape(safe(title))}[/]{tail}")

    def work(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if what != self._what:
            self._end()
            self._what, self._since, self._line_at = what, now, now
        if done >= total:
            self._end()
        elif now - self._since >= SHOWN_AFTER_S:
            if self.console.is_terminal:
                self._show(what, done, total)
            elif now - self._line_at >= 10:
                self._line_at = now
                left = (now - self._since) / max(done, 1) * (total - done)
                self.console.print(f"  {what}: {done} of {total}, about {left:.0f} s left")

    def note(self, text: str) -> None:
        self._end()
        self.console.print(f"        [dim]{escape(safe(text))}[/]")

    def close(self) -> None:
        """Take the bar away."""
        self._end()

    def _show(self, what: str, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = Progress(
                TextColumn("        {task.description}"), BarColumn(30), MofNCompleteColumn(),
                TimeRemainingColumn(), console=self.console, transient=True,
            )  # fmt: skip
            self._bar.start()
            self._bar.add_task(what, total=total, completed=done)
        self._bar.update(self._bar.task_ids[0], total=total, completed=done)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        self._what = ""

    def _clock(self) -> str:
        seconds = int(time.monotonic() - self._started)
        return f"{seconds // 60:2d}:{seconds % 60:02d}"

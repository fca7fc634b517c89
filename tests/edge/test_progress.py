"""Progress is text: nothing in it moves the cursor, turns the direction or forges a line."""

from __future__ import annotations

import io

from rich.console import Console

from predator.edge.cli.progress import ConsoleProgress

HOSTILE = "a\x1b[31mred\x1b]0;title\x07\n 0:10 promote\u202e [/] [bold]x[/bold]"


def test_what_others_wrote_stays_in_its_line_and_is_no_markup() -> None:
    written = io.StringIO()
    progress = ConsoleProgress(Console(file=written, highlight=False, width=200))
    progress.station(HOSTILE, HOSTILE)
    progress.note(HOSTILE)
    lines = written.getvalue().splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.isprintable() and "[/] [bold]x[/bold]" in line and "\\x1b[31mred" in line

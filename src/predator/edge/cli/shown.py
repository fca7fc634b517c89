"""How answers are shown: tables for people, JSON for programs, nothing that a terminal obeys."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDE = 170
"""Columns where nobody looks: a file or a pipe has no edge to fold at."""

_SIDES = "\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""What turns the direction of a text, so that it reads as something else."""

_UNSAFE = re.compile(f"[\x7f-\x9f\u2028\u2029\ud800-\udfff{_SIDES}]")
"""What JSON lets through and a terminal might obey."""


def plain(value: Any) -> Any:
    """``value`` as JSON takes it: dataclasses by field, sets in order."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Set):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False)
    safe = _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    sys.stdout.write(safe + "\n")


def safe(text: object) -> str:
    """What somebody wrote, in one line that moves no cursor and turns no direction."""
    return "".join(_safe(char) for char in str(text))


def _safe(char: str) -> str:
    if char.isprintable() and not _UNSAFE.match(char):
        return char
    return " " if char.isspace() else f"\\x{ord(char):02x}"


def console() -> Console:
    """Writes to standard output, as wide as it is; what is printed is text, no markup."""
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False)
    return made if made.is_terminal else Console(
        highlight=False, markup=False, emoji=False, width=_WIDE
    )  # fmt: skip


def say(*lines: str) -> None:
    """Lines, whole: one that is copied from must not be folded."""
    out = console()
    for line in lines:
        out.print(safe(line), soft_wrap=True)


def print_table(titles: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """A table whose first column is never folded, or ``empty`` where there are no rows."""
    if not rows:
        say(empty)
        return
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(titles[0], no_wrap=True)
    for title in titles[1:]:
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*("–" if cell in (None, "") else safe(cell) for cell in row))
    _print(table)


def print_facts(facts: Sequence[tuple[str, object]]) -> None:
    """Names and values, one below the other."""
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        lines = value if isinstance(value, list) else [value]
        table.add_row(name, "\n".join(safe(line) for line in lines))
    _print(table)


def _print(table: Table) -> None:
    """Without the blanks that fill the last column: a pipe keeps them."""
    out = console()
    with out.capture() as captured:
        out.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))

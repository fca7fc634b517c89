"""``predator settings``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from predator.config import describe
from predator.edge.cli.options import settings_from


def show_settings(as_json: bool, pairs: Sequence[str]) -> None:
    """Print the catalogue: what is in force, and where each value came from."""
    rows = describe(settings_from(pairs))
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    table.add_column("setting", no_wrap=True)
    for title in ("value", "from", "what it is"):
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(row["name"], row["value"], row["from"], row["help"])
    Console(markup=False).print(table)

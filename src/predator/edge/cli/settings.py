"""``predator settings``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from predator.bootstrap import settings_table
from predator.edge.cli.options import settings_from


def show_settings(as_json: bool, pairs: Sequence[str]) -> None:
    """Print the catalogue."""
    rows = settings_table(settings_from(pairs))
    if as_json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("setting", "value", "what it is", box=None, header_style="bold")
    for row in rows:
        table.add_row(row["name"], row["value"], row["help"])
    Console().print(table)

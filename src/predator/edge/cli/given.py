"""What people give to several commands. Imported at every start, so by Typer alone."""

from __future__ import annotations

from typing import Annotated

import typer

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a setting; see `predator settings`."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept on record.")]
Actor = Annotated[
    str | None, typer.Option("--actor", help="Who acts (default: the user of this machine).")
]
Contour = Annotated[
    str | None, typer.Option("--contour", help="Which contour (default: the setting).")
]
AnyContour = Annotated[
    str | None, typer.Option("--contour", help="Only of this contour (default: of every one).")
]
Where = Annotated[str, typer.Option("--contour", help="A contour, or `all`.")]
CycleId = Annotated[str, typer.Argument(help="si_YYYY_MM_DD_NNN")]
Expires = Annotated[
    str, typer.Option("--expires", help="How long: 7d, 12h, or a date such as 2025-12-20 (UTC).")
]

"""The account of a simulated year as one file that needs no other: a page, or its plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from predator.domain.errors import InputError
from predator.edge.cli import kpi_rows
from predator.edge.cli.year_facts import facts
from predator.simulation.year.plot import svg

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0;
  border-bottom: 1px solid light-dark(#dddddd, #3a3a3a); }
svg { width: 100%; height: auto; }
"""


def write_report(path: Path, found: Mapping[str, Any], words: Mapping[str, str], lang: str) -> None:
    """Write the page, or the plot alone to a file that ends in ``.svg``.

    ``InputError`` where the file cannot be written.
    """
    text = svg(found, words) if path.suffix == ".svg" else page(found, words, lang)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from error


def page(found: Mapping[str, Any], words: Mapping[str, str], lang: str) -> str:
    """The whole page; whatever is told in it is text, never markup."""
    title = escape(words["title"].format(**found))
    promises = [words["broken"].format(what=what) for what in found["broken_promises"]]
    return "\n".join(
        [
            f'<!doctype html><html lang="{escape(lang)}"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>",
            svg(found, words),
            _table(kpi_rows.titles(words), kpi_rows.rows(found["kpis"], words)),
            f"<h2>{escape(words['hidden'])}</h2>",
            _table((), facts(found, words)),
            *(f"<p>{escape(one)}</p>" for one in promises or [words["kept_promises"]]),
            "</html>\n",
        ]
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"

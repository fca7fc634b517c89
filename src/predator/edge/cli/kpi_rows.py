"""Key figures as rows for people: with their unit, and with what is not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from predator.edge.cli.year_words import Words


def titles(words: Words) -> Sequence[str]:
    """The heads of :func:`rows`."""
    return tuple(
        words[name] for name in ("kpi", "target", "current", "interval", "met", "n", "trend")
    )


def rows(kpis: Sequence[Mapping[str, Any]], words: Words) -> list[tuple[str, ...]]:
    """One row a figure, of its JSON form."""
    found: list[tuple[str, ...]] = []
    for one in kpis:
        met = words["unknown" if one["met"] is None else "yes" if one["met"] else "no"]
        if one["missing"]:
            met += f" ({words['missing'].format(count=one['missing'])})"
        elif one["met"] is None and one["current"] is not None:
            met = words["too_few"]
        trend = " ".join(value(one["name"], of) for of in one["trend"])
        current = value(one["name"], one["current"])
        if one["name"].endswith("_s") and one["current"] is not None:
            current += f" {words['h']}"
        interval = " … ".join(value(one["name"], of) for of in one["interval"] or ()) or "–"
        found.append(
            (words[one["name"]], one["target"], current, interval, met, str(one["n"]), trend)
        )
    return found


def value(name: str, of: float | None) -> str:
    """One value of a figure, times in hours; a dash for none."""
    if of is None:
        return "–"
    if name.endswith("_rel"):
        return f"{of:+.1%}"
    if name.endswith("_share"):
        return f"{of:.1%}"
    if name.endswith("_s"):
        return f"{of / 3600:.1f}" if of >= 180 else "< 0.1"
    return f"{of:.0f}"

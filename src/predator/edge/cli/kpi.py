"""``predator kpi``: the key figures of the loop that runs here, by its register and journals."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from predator.bootstrap.home import Home
from predator.bootstrap.operator import check_home, has_register, operating
from predator.config import Settings
from predator.edge.cli import kpi_rows
from predator.edge.cli.options import settings_from
from predator.edge.cli.shown import print_json, print_table, say
from predator.edge.cli.times import since as moment_of
from predator.edge.cli.times import stamp
from predator.edge.cli.year_words import words_of
from predator.loop.kpi import CycleFact, kpis
from predator.loop.kpi_facts import entries_since, facts_of


def show_kpi(
    contour: str | None, since: str, lang: str, as_json: bool, pairs: Sequence[str]
) -> None:
    """The figures from ``since`` until now. Where there is no cycle, every figure is unknown."""
    words = words_of(lang)
    settings = settings_from(pairs)
    now = time.time()
    began = moment_of(since, now)
    where = contour or settings.contour
    facts, simulated = _facts(settings, where, began)
    value: dict[str, Any] = {
        "contour": where,
        "since": began,
        "until": now,
        "cycles": len(facts),
        "simulated": simulated,
        "under_way": sum(not fact.outcome for fact in facts),
        "kpis": [one.to_json() for one in kpis(facts, began, now)],
    }
    if as_json:
        print_json(value)
        return
    say(words["lived"].format(**{**value, "since": stamp(began)}))
    if simulated:
        say(words["rehearsed"])
    print_table(kpi_rows.titles(words), kpi_rows.rows(value["kpis"], words), "")


def _facts(settings: Settings, contour: str, since: float) -> tuple[Sequence[CycleFact], bool]:
    """What the register and the cycles say, and whether the contour's cycles are made up."""
    check_home(settings)
    if not has_register(settings):
        return (), False
    with operating(settings) as office:
        office.operator.cycles(contour, limit=1)  # refuses a contour that is none
        simulated = bool(office.operator.desk.contours[contour].defaults.get("simulated"))
        entries = entries_since(office.operator.desk.cycles, contour, since)
    return facts_of(Home(settings).artifacts, entries), simulated

"""``predator simulate``: a year of the loop on a virtual clock, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from predator.bootstrap.governed import rules_of
from predator.config import parse_overrides
from predator.edge.cli import kpi_rows
from predator.edge.cli.options import check_writable, settings_from
from predator.edge.cli.progress import ConsoleProgress
from predator.edge.cli.shown import print_facts, print_json, print_table, say
from predator.edge.cli.year_facts import facts
from predator.edge.cli.year_words import Words, words_of
from predator.ports.progress import Progress

CONTOUR = "edge-oracle"
"""Where experiments last a week, people approve, and bad releases may be rehearsed."""


def simulate(
    days: int,
    seed: int | None,
    as_json: bool,
    lang: str,
    report: Path | None,
    pairs: Sequence[str],
) -> int:
    """Simulate, print the account, and say by the exit code whether a promise was broken.

    A ctrl-C ends the year early, with the account of what there is, and exit code 130.
    """
    words = words_of(lang)
    check_writable(report)
    progress = ConsoleProgress()
    found = _lived(days, seed, pairs, progress)
    progress.close()
    if report is not None:
        from predator.edge.cli.year_report import write_report

        write_report(report, found, words, lang)
        progress.note(f"{report}")
    if as_json:
        print_json(found)
    else:
        print_account(found, words)
    if found["days"] < found["of_days"]:
        raise SystemExit(INTERRUPTED)
    return 1 if found["broken_promises"] else 0


INTERRUPTED = 130
"""As a shell would say it."""


def print_account(found: Mapping[str, Any], words: Words) -> None:
    """The account for people."""
    say(words["title"].format(**found))
    if found["days"] < found["of_days"]:
        say(words["cut"].format(**found))
    print_table(kpi_rows.titles(words), kpi_rows.rows(found["kpis"], words), "")
    say("", f"{words['hidden']}:")
    print_facts(facts(found, words))
    for what in found["broken_promises"]:
        say(words["broken"].format(what=what))
    if not found["broken_promises"]:
        say(words["kept_promises"])


def _lived(days: int, seed: int | None, pairs: Sequence[str], progress: Progress) -> dict[str, Any]:
    from predator.simulation.year.account import account
    from predator.simulation.year.year import Year

    contour = None if "contour" in parse_overrides(list(pairs)) else CONTOUR
    settings = settings_from(pairs, contour=contour, seed=seed)
    year = Year(settings, rules_of(settings), days, settings.seed)
    try:
        while year.done < days:
            year.advance(1)
            progress.work("days", year.done, days)
    except KeyboardInterrupt:
        progress.note("stopped: what there is")
    return account(year)

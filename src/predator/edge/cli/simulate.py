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
from predator.edge.cli.times import span
from predator.edge.cli.year_words import words_of
from predator.ports.progress import Progress

CONTOUR = "edge-oracle"
"""Where experiments last a week, people approve, and bad releases may be rehearsed."""

Words = Mapping[str, str]


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


def facts(found: Mapping[str, Any], words: Words) -> list[tuple[str, object]]:
    """What the key figures hide, as names and values."""
    hidden = found["hidden"]

    def told(name: str, **values: object) -> str:
        return words[name].format(**values)

    rows: list[tuple[str, object]] = [
        (words[name], _gain(hidden[name], words))
        for name in ("gain_vs_holdout", "gain_vs_holdout_lately")
    ]
    gain = hidden["true_gain_rel_of_promotions"]
    attacks = [one["share"] for one in found["attacks"]]
    rows += [
        (words["true_gain_vs_holdout"], f"{hidden['true_gain_vs_holdout']:+.1%}"),
        (
            words["promotions"],
            told(
                "promotions_told",
                n=hidden["went_live"],
                false=hidden["false_promotions"],
                harmful=hidden["harmful_promotions"],
                gain="–" if gain is None else f"{gain:+.1%}",
            ),
        ),
        (
            words["rollbacks"],
            told(
                "rollbacks_told",
                n=hidden["rollbacks"],
                false=hidden["false_rollbacks"],
                outage=hidden["rollbacks_while_policy_was_down"],
            ),
        ),
        (
            words["regressions"],
            told("regressions_told", n=hidden["regressions"], missed=hidden["missed_regressions"]),
        ),
        (words["drills"], told("drills_told", n=hidden["drills"], caught=hidden["drills_caught"])),
        (words["time_to_detect_s"], _spread(hidden["time_to_detect_s"], words)),
        (words["time_to_restore_s"], _spread(hidden["time_to_restore_s"], words)),
        (words["hours_worse"], told("hours", value=hidden["hours_worse_than_gold"])),
        (words["at_the_end"], words["yes" if hidden["worse_than_gold_at_the_end"] else "no"]),
        (words["experiments"], _counts(found["experiments"], words)),
        (words["experiment_s"], _spread(found["experiment_s"], words)),
        (words["in_line_s"], _spread(found["in_line_s"], words)),
        (words["cycles"], _counts(found["cycles"], words)),
        (words["because"], _counts(found["not_successful_because"], words)),
        (
            words["outages"],
            ", ".join(
                f"{name} {told('hours', value=value)}" for name, value in found["outages_h"].items()
            ),
        ),
        (
            words["attacks"],
            told(
                "attacks_told",
                n=len(attacks),
                least=f"{min(attacks):.1%}",
                most=f"{max(attacks):.1%}",
            )
            if attacks
            else words["nothing"],
        ),
    ]
    return rows


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


def _gain(found: Mapping[str, float] | None, words: Words) -> str:
    if found is None:
        return words["unknown"]
    return f"{found['delta_rel']:+.1%} ({found['ci_low']:+.1%} … {found['ci_high']:+.1%})"


def _spread(found: Mapping[str, float] | None, words: Words) -> str:
    if found is None:
        return words["nothing"]
    return words["spread"].format(
        median=span(found["median"]), most=span(found["most"]), n=int(found["n"])
    )


def _counts(found: Mapping[str, int], words: Words) -> str:
    return ", ".join(f"{name} {count}" for name, count in found.items()) or words["nothing"]

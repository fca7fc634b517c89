"""``predator gold``: the questions that decide, who judged them, and how stale they are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from predator.bootstrap.current import no_platform
from predator.bootstrap.home import Home
from predator.bootstrap.labels import gold_now
from predator.domain.readings import Reading, Value
from predator.edge.cli.options import settings_from
from predator.edge.cli.shown import print_facts, print_json, print_table, say
from predator.edge.cli.times import moment, span, stamp
from predator.loop.gold.readings import why_none

_SPANS = frozenset({"seal_age_s", "judgment_age_s"})


def show_gold(as_json: bool, pairs: Sequence[str]) -> None:
    """The Gold set of the current run; its seal is verified."""
    home = Home(settings_from(pairs))
    run = home.current_run()
    if run is None:
        raise no_platform(home.root)
    at = time.time()
    found = gold_now(run, at)
    value = found.to_json()
    if as_json:
        print_json(value)
        return
    gold = found.sealed.gold
    say(f"version {gold.version}, sealed {moment(gold.sealed_at, at)}: {found.sealed.digest}")
    sources = [f"{count} {kind}" for kind, count in gold.sources.items()]
    print_facts(
        [
            ("questions", f"{value['queries']} with {value['judgments']} judgments"),
            ("judged by", ", ".join(sources)),
            ("split by", _split(value["split"])),
            *((name, _reading(name, one)) for name, one in found.readings.items()),
        ]
    )
    rows = [
        (f"v{g.version}", one.digest[:12], len(g.rows), moment(g.sealed_at, at))
        for one in found.versions
        for g in [one.gold]
    ]
    print_table(("version", "digest", "questions", "sealed"), rows, "no version")


def _split(rule: Mapping[str, Any]) -> list[str]:
    lines = [f"{rule['by']}: {rule['why']}"]
    if rule["cut"] is not None:
        lines.append(f"nothing is learnt from questions asked after {stamp(rule['cut'])}")
    if rule["watched"]:
        lines.append(f"{rule['watched']} are not learnt from: they say what a Gold question says")
    if rule["aside"]:
        lines.append(f"{rule['aside']} stand aside: time and cluster disagree")
    return lines


def _reading(name: str, reading: Reading) -> str:
    if not isinstance(reading, Value):
        return f"unknown: {why_none(reading)}"
    return span(reading.value) if name in _SPANS else f"{reading.value:.1%} of {reading.n}"

"""Simulated years of the loop beside the rules that people use today, in the same worlds.

    python benchmarks/year.py [--seeds 20] [--days 365] [--jobs 2] [--rules real,spec] [--json]

``real``: the loop's own deciders. ``spec``: the spec's own rules: a point gain of 3% offline, 3%
on users after seven days, and a rollback at the first look at which the release is below its
baseline (taken before the change, which is kinder than the spec's own script). ``peeking``: a
one-sided test at 5% for each candidate, however many there are; an experiment that is promoted at
the first look with z > 1.96; a watch that rolls back at the first look with z < -1.96. ``patient``:
the same, but no experiment is over before its shortest duration.
World, users, faults, outages and attackers of a seed are the same for all.

Prints a table and the same as one line of JSON (``--json``: only that). Exit 1 where the real
deciders leave a release live that is worse than Gold beyond noise, break another promise, or do
not gain over the global hold-out.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from predator.bootstrap.governed import rules_of
from predator.config import Settings, load_settings
from predator.domain.verdicts import Verdict, WatchDecision
from predator.loop.evaluate import Measured, guardrails_of
from predator.ports.ledger import GoldReading
from predator.simulation.year.account import account
from predator.simulation.year.deciders import Judged, Real, Trial, Watched, gates_of
from predator.simulation.year.served import Served
from predator.simulation.year.world import Floats
from predator.simulation.year.year import Year
from predator.statistics.clustered import clustered_difference
from predator.statistics.paired import paired_gain

GAIN = 0.03
Z = 1.96
RULES = ("real", "spec", "peeking", "patient")


class Simple(Real):
    """What the two rules beside share: guardrails are held, and nothing of the ledger is read."""

    def __init__(self, settings: Settings, rule: str) -> None:
        super().__init__(settings)
        self._rule, self._given = rule, settings

    def gate(
        self,
        candidate: Floats,
        baseline: Floats,
        categories: Sequence[str],  # noqa: ARG002
        measured: Measured,
        reading: GoldReading,  # noqa: ARG002
    ) -> Judged:
        gain = paired_gain(candidate, baseline, alpha=0.05)
        gates = gates_of(self._given, 0.05)
        held = all(rail.held for rail in guardrails_of(measured, gates))
        passed = gain.delta_rel >= GAIN if self._rule == "spec" else gain.lower_bound > 0
        verdict = Verdict.PASS if held and passed else Verdict.FAIL
        return Judged(verdict, self._rule, gain.delta_rel, gain.ci_low, gain.delta_rel)

    def trial(self, *_given: object) -> Trial | None:
        return SimpleTrial(self._rule, self._given)

    def watched(self, before: Served, *_given: object) -> Watched | None:
        return SimpleWatch(self._rule, float(before.click_mrr.mean()), self._given)


class SimpleTrial:
    """A difference of means, and either a threshold after a week or z at every look."""

    def __init__(self, rule: str, settings: Settings) -> None:
        self._rule, self._least_s = rule, settings.experiment_min_s
        self._seen: Served | None = None

    def look(self, served: Served, lasted_s: float, *, last: bool) -> tuple[Verdict, str] | None:
        self._seen = served.after(self._seen)
        gain, z = _difference(self._seen, 0, 1)
        if self._rule != "peeking" and lasted_s < self._least_s:
            return None
        if self._rule == "spec":
            return (Verdict.PASS if gain >= GAIN else Verdict.FAIL), f"{gain:+.1%}"
        if z > Z:
            return Verdict.PASS, f"z = {z:.2f}"
        if z < -Z or last:
            return Verdict.FAIL, f"z = {z:.2f}"
        return None


class SimpleWatch:
    """``current < baseline``, or z below -1.96 against the hold-back, at any look."""

    def __init__(self, rule: str, baseline: float, settings: Settings) -> None:
        self._rule, self._baseline = rule, baseline
        self.share, self.looks_max = settings.holdback_share, settings.watch_looks

    def look(self, number: int, served: Served) -> tuple[WatchDecision, str, bool]:
        if self._rule == "spec":
            newest = served.click_mrr[(served.window == number) & (served.arm == 0)]
            bad = bool(newest.size) and float(newest.mean()) < self._baseline
        else:
            bad = _difference(served, 1, 0)[1] < -Z
        if bad:
            return WatchDecision.ROLL_BACK, self._rule, True
        ends = number == self.looks_max
        return (WatchDecision.KEEP if ends else WatchDecision.HOLD), self._rule, ends


def _difference(served: Served, a: int, b: int) -> tuple[float, float]:
    """The relative gain of arm ``b`` over arm ``a``, and its z; 0 where there is nothing."""
    values, arms = np.where(served.failed, 0.0, served.click_mrr), served.arm
    try:
        found = clustered_difference(
            served.user[arms == a], values[arms == a], served.user[arms == b], values[arms == b]
        )
    except ValueError:
        return 0.0, 0.0
    return found.delta_rel, found.z_score


def lived(given: tuple[str, int, int]) -> dict[str, Any]:
    """One year by one rule."""
    rule, seed, days = given
    settings = load_settings({"contour": "edge-oracle", "seed": seed})
    deciders = Real(settings) if rule == "real" else Simple(settings, rule)
    year = Year(settings, rules_of(settings), days, seed, deciders)
    year.advance(days)
    found = account(year)
    del found["truth"]["series"]
    return {"rule": rule, **found}


def summed(rule: str, years: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the years of one rule came to."""
    hidden = [year["hidden"] for year in years]
    gains = [one["true_gain_vs_holdout"] for one in hidden]
    measured = [one["gain_vs_holdout"] for one in hidden]
    error = float(np.std(gains, ddof=1)) / math.sqrt(len(gains)) if len(gains) > 1 else None
    counts = (
        "went_live", "false_promotions", "harmful_promotions", "rollbacks", "false_rollbacks",
        "rollbacks_while_policy_was_down",
        "regressions", "missed_regressions", "drills", "drills_caught",
        "worse_than_gold_at_the_end",
    )  # fmt: skip
    return {
        "rule": rule,
        "years": len(years),
        **{name: sum(one[name] for one in hidden) for name in counts},
        "hours_worse_than_gold": float(np.mean([one["hours_worse_than_gold"] for one in hidden])),
        "true_gain_at_the_end": float(np.mean(gains)),
        "true_gain_error": error,
        "cumulative_gain": float(np.mean([one["delta_rel"] for one in measured])),
        "years_with_a_gain_shown": sum(one["ci_low"] > 0 for one in measured),
        "broken_promises": sum(len(year["broken_promises"]) for year in years),
        "kpis": {
            one["name"]: float(np.mean(values)) if values else None
            for number, one in enumerate(years[0]["kpis"])
            for values in [
                [y["kpis"][number]["current"] for y in years
                 if y["kpis"][number]["current"] is not None]
            ]
        },
    }  # fmt: skip


def main() -> int:
    """Run, print, and say by the exit code whether the real deciders kept their promises."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--json", action="store_true", help="only the line of JSON")
    given = parser.parse_args()
    rules = given.rules.split(",")
    if given.seeds < 1 or given.days < 1 or given.jobs < 1 or not set(rules) <= set(RULES):
        parser.error(f"seeds, days and jobs start at 1; rules are {', '.join(RULES)}")
    started = time.perf_counter()
    work = [(rule, seed, given.days) for seed in range(given.seeds) for rule in rules]
    years: list[dict[str, Any]] = []
    with ProcessPoolExecutor(given.jobs, mp_context=get_context("spawn")) as pool:
        for number, year in enumerate(pool.map(lived, work), start=1):
            years.append(year)
            left = (time.perf_counter() - started) / number * (len(work) - number)
            sys.stderr.write(f"{number} of {len(work)} years, about {left:.0f} s left\n")
    rows = [summed(rule, [year for year in years if year["rule"] == rule]) for rule in rules]
    seconds = round(time.perf_counter() - started, 1)
    if not given.json:
        names = [name for name in rows[0] if name != "kpis"]
        width = max(map(len, names)) + 2
        for name in names:
            print(name.ljust(width), *(_cell(row[name]).rjust(12) for row in rows))
        for name in rows[0]["kpis"]:
            print(name.ljust(width), *(_cell(row["kpis"][name]).rjust(12) for row in rows))
    print(json.dumps({"seconds": seconds, "days": given.days, "rows": rows}))
    return max((_failed(row) for row in rows if row["rule"] == "real"), default=0)


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _failed(row: Mapping[str, Any]) -> int:
    """Whether the real deciders broke what they promise."""
    worse = row["worse_than_gold_at_the_end"] or row["broken_promises"]
    error = row["true_gain_error"] or 0.0  # one year has no error between years, but its own
    gained = row["true_gain_at_the_end"] - Z * error > 0 and row["cumulative_gain"] > 0
    return 1 if worse or not gained or row["years_with_a_gain_shown"] < row["years"] else 0


if __name__ == "__main__":
    raise SystemExit(main())

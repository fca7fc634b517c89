"""How often an experiment promotes what is no better, and how soon it sees what is.

    python -m benchmarks.experiments [--rounds 2000] [--seed 0] [--attacks 40] [--json]

``honesty`` (I9): equal releases, looked at every hour of a week. ``power`` (I10): a true gain of 3%
at a spread of 0.25 and a mean of 0.82, a fifth of the users on the candidate. ``fraud`` (I22):
attackers in an experiment whose candidate is truly worse, through the real decider
(``benchmarks/experiment_fraud.py``). Beside our rule, those of others on the same simulated users;
GrowthBook's by its published formula.

Prints a table, then the same as one line of JSON (``--json``: only that). Exit 1 where a limit is
not kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks import experiment_fraud
from benchmarks.experiment_rules import RULES, looked, promotes
from benchmarks.experiment_worlds import World, normal_scores, simulated, skewed_scores
from benchmarks.rates import Row, end, row, table
from predator.statistics.cluster_moments import Moments
from predator.statistics.design_effect import clustering
from predator.statistics.evidence import evidence_size

AT_ONCE = 4_000_000
"""Scores held in memory at a time."""
GAIN = 0.03
OURS = "Predator (E >= 20)"

CANDIDATES, CANDIDATES_CUPED = 1250, 850
"""By how many queries of the candidate a gain of 3% must have shown, without and with CUPED."""


def honesty(rounds: int, seed: int = 0) -> list[Row]:
    """Equal releases: how many are ever promoted in 168 hourly looks."""
    skewed = skewed_scores()
    independent = World(skewed, users=5 * CANDIDATES)
    sticky = World(skewed, users=5 * CANDIDATES // 6, searches=6, icc=0.3)
    worlds = {
        "skewed, independent": independent,
        "skewed, sticky users of 6": sticky,
        "skewed, sticky, 4 times the traffic": replace(sticky, users=4 * sticky.users),
        "skewed, sticky, corrected by the past": replace(sticky, rho=0.5),
    }
    found: list[Row] = []
    for name, world in worlds.items():
        counts = dict.fromkeys(RULES, 0)
        differs = 0
        for a, b in _parts(world, rounds, np.random.default_rng([seed, len(found)])):
            at = looked(a, b, GAIN, cuped=world.rho > 0)
            for rule, decide in RULES.items():
                counts[rule] += int(promotes(decide, at, a, b).any(axis=1).sum())
            either = promotes(lambda seen: np.abs(seen.z) > 1.96, at, a, b)
            differs += int(either.any(axis=1).sum())
        for rule, count in counts.items():
            limit = "≤ 0.05, interval ≤ 0.06" if rule == OURS else "shown"
            found.append(row(f"A/A {name}: {rule}", count, rounds, limit))
        found.append(row(f"A/A {name}: naive peeking, any |z| > 1.96", differs, rounds, "shown"))
    return found


def power(rounds: int, seed: int = 0) -> list[Row]:
    """A true gain of 3%: how many show it by the queries that they are allowed, looked at as often
    as the candidate answers one."""
    scores = normal_scores()
    plain = World(scores, users=5 * CANDIDATES, looks=CANDIDATES, gain=GAIN)
    past = replace(plain, users=5 * CANDIDATES_CUPED, looks=CANDIDATES_CUPED)
    worlds: Mapping[str, tuple[World, str]] = {
        f"independent, by {CANDIDATES}": (plain, "≥ 0.80"),
        f"CUPED at 0.5, by {CANDIDATES_CUPED}": (replace(past, rho=0.5), "≥ 0.80"),
        f"CUPED at 0.6, by {CANDIDATES_CUPED}": (replace(past, rho=0.6), "≥ 0.80"),
        f"no CUPED, by {CANDIDATES_CUPED}": (past, "shown"),
        f"skewed, by {CANDIDATES}": (replace(plain, scores=skewed_scores()), "shown"),
        f"a loss of 3%, by {CANDIDATES}": (replace(plain, gain=-GAIN), "≤ 0.01"),
    }
    found: list[Row] = []
    for name, (world, limit) in worlds.items():
        found += _by_the_end(name, world, limit, rounds, seed + len(found))
    found += sticky_power(rounds, seed)
    return found


def sticky_power(rounds: int, seed: int = 0) -> list[Row]:
    """Sticky users: the design effect is measured on a history, and as many searches are planned
    as it asks for; the power must then be there."""
    scores, rng = normal_scores(), np.random.default_rng([seed, 99])
    world = World(scores, users=3000, searches=6, icc=0.3, gain=GAIN)
    who = np.repeat(np.arange(2000), 2)
    z = np.sqrt(world.icc) * rng.standard_normal(2000)[who]
    z += np.sqrt(1 - world.icc) * rng.standard_normal(who.size)
    history = 0.82 + 0.25 * z
    measured = clustering(who.tolist(), history).icc
    effect = 1.0 + measured * (world.searches - 1)
    alone = evidence_size(0.25, GAIN * 0.82, world.share)
    users = round(alone * effect / world.searches)
    name = f"sticky users of 6, measured design effect {effect:.2f}: {users * 6} planned"
    found = _by_the_end(name, replace(world, users=users), "≥ 0.77", rounds, seed + 100)
    short = replace(world, users=round(alone / world.searches))
    return [*found, *_by_the_end("sticky, planned without it", short, "shown", rounds, seed + 101)]


def _by_the_end(name: str, world: World, limit: str, rounds: int, seed: int) -> list[Row]:
    counts = dict.fromkeys(RULES, 0)
    when: list[NDArray[np.float64]] = []
    for a, b in _parts(world, rounds, np.random.default_rng([seed, 7])):
        at = looked(a, b, GAIN, cuped=world.rho > 0)
        for rule, decide in RULES.items():
            flags = promotes(decide, at, a, b)
            counts[rule] += int(flags.any(axis=1).sum())
            if rule == OURS:
                first = flags.argmax(axis=1)
                queries = np.take_along_axis(b.n, first[:, None], axis=1)[:, 0]
                when.append(np.where(flags.any(axis=1), queries, np.inf))
    reached = np.concatenate(when)
    half = float(np.quantile(reached, 0.5, method="higher"))
    rows = []
    for rule, count in counts.items():
        asked = limit if rule == OURS else "shown"
        told = f" (half by {half:.0f})" if rule == OURS and np.isfinite(half) else ""
        rows.append(row(f"{world.gain:+.0%} {name}: {rule}{told}", count, rounds, asked))
    return rows


def _parts(
    world: World, rounds: int, rng: np.random.Generator
) -> Iterator[tuple[Moments, Moments]]:
    """Simulated experiments in parts that fit into memory."""
    most = max(1, AT_ONCE // (world.users * world.searches))
    for done in range(0, rounds, most):
        yield simulated(world, min(most, rounds - done), rng)


def main() -> None:
    parser = argparse.ArgumentParser(description="what an experiment promotes")
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--attacks", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    started = time.perf_counter()
    parts: Mapping[str, Callable[[], list[Row]]] = {
        "honesty": lambda: honesty(given.rounds, given.seed),
        "power": lambda: power(given.rounds, given.seed),
        "fraud": lambda: experiment_fraud.attacks(given.attacks, given.seed),
    }
    tables: dict[str, list[Row]] = {}
    for name, measure in parts.items():
        print(f"{time.perf_counter() - started:.0f} s: {name}", file=sys.stderr)
        tables[name] = measure()
        if not given.json:
            table(tables[name])
    end(tables, time.perf_counter() - started)


if __name__ == "__main__":
    main()

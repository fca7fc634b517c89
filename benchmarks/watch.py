"""What a watch sees: false rollbacks, missed losses and time to detect, by traffic and by rule.

    python benchmarks/watch.py [--releases 1000] [--curve 100] [--season 0.05] [--everywhere]
                               [--seed 0] [--json]

Releases that are truly equal, 3% better, 5% worse, 30% worse, or that fail one search in ten go
live in a simulated world: 12 looks in two hours, judged searches of σ 0.25 around NDCG@10 0.82
(beta), clicks that follow them, every search by another user. ``season`` is the amplitude of a
daily wave of that level, whose phase is chance; 0 is a world that never changes. A worse release
takes half of what a part of the searches had (one in ten for -5%); with ``--everywhere`` it takes a
little from each, which ranks show far better than means. Beside Predator's watch (the real decider)
stand, on the same searches:

- the spec's rule, ``if current < baseline: rollback``, at each look;
- Flagger: a check fails where the look's mean is under ``thresholdRange.min``, or less than 99% of
  its searches are answered; five failed checks roll back (``threshold: 5``, as in its
  documentation);
- Argo Rollouts: a measurement fails where ``successCondition`` (the look's mean at or above a
  limit; 95% of its searches answered) is false; more than ``failureLimit`` of them abort: 0, its
  default, and 3;
- Kayenta: the Mann-Whitney classifier of its NetflixACAJudge on live against held-back searches so
  far, confidence 0.98, tolerance 0.25, at each look.

The first table has each rule as it is shipped; for Flagger and Argo Rollouts, which ship no limit
for a metric like this, with one 3% under the baseline. The second has all of them at the rate of
false rollbacks of Predator's watch, their limit tuned for that on the equal releases. Looks count
from 1; a loss that is not caught counts as 13. The curve is Predator's watch by searches a look,
with the hold-back that it plans for itself. Prints tables, then one line of JSON (``--json``: only
that).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.verdicts import WatchDecision
from predator.loop.watch.before import Arm, before
from predator.loop.watch.look import look
from predator.loop.watch.plan import WatchLimits, plan_watch

LOOKS, LOOK_S, DAY = 12, 600.0, 86_400.0
MEAN, SD, CLICK_RATE = 0.82, 0.25, 0.45
FLAGGER_CHECKS = 5
KAYENTA_Z = 2.3263 / (1 - 0.25)
"""Low where the upper end of the 98% interval is under -0.25 of the estimated shift."""
Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A release by what is true of it."""

    name: str
    drop: float
    failing: float = 0.0


KINDS = (
    Kind("equal", 0.0), Kind("+3%", -0.03), Kind("-5%", 0.05), Kind("-30%", 0.3),
    Kind("10% errors", 0.0, 0.1),
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """What the releases meet."""

    seed: int
    season: float
    everywhere: bool


@dataclass
class Release:
    """What Predator decided about one release, and what the other rules look at."""

    decision: str
    number: int
    baseline: float
    means: Vector
    answered: Vector
    kayenta: Vector


def ndcg(rng: np.random.Generator, mean: float, n: int) -> Vector:
    """``n`` judged searches of a mean, σ 0.25 (less where the mean leaves no room for it)."""
    variance = min(SD**2, 0.9 * mean * (1 - mean))
    size = mean * (1 - mean) / variance - 1
    return np.asarray(rng.beta(mean * size, (1 - mean) * size, n))


def served(
    rng: np.random.Generator, mean: float, n: int, drop: float, *, everywhere: bool
) -> Vector:
    """Searches of a release that is ``drop`` worse than ``mean``."""
    if everywhere or drop < 0:
        return ndcg(rng, mean * (1 - drop), n)
    hit = rng.random(n) < 2 * drop
    return np.where(hit, 0.5, 1.0) * ndcg(rng, mean, n)


def clicks(rng: np.random.Generator, values: Vector) -> Vector:
    """1 / the topmost click, more often the better the answer."""
    n = values.size
    clicked = rng.random(n) < CLICK_RATE * values / MEAN
    return np.where(clicked, 1.0 / rng.geometric(0.5, n), 0.0)


def arm(values: Vector, clicked: Vector, number: int, failed: int = 0) -> Arm:
    n = values.size
    return Arm(
        range(n), clicked, np.full(n, 20.0), np.full(n, number), range(n), values,
        range(n, n + failed),
    )  # fmt: skip


def mann_whitney_z(live: Vector, held: Vector) -> float:
    """z of the Mann-Whitney test, negative where live searches are worse (no ties: beta)."""
    order = np.sort(live)
    u = float(np.searchsorted(order, held).sum())  # live searches below each held-back one
    n, m = live.size, held.size
    return float((n * m / 2 - u) / np.sqrt(n * m * (n + m + 1) / 12))


def watched(
    rng: np.random.Generator, kind: Kind, per_look: int, world: World, limits: WatchLimits,
    *, others: bool,
) -> Release:  # fmt: skip
    """One release through its watch."""
    phase = rng.random()

    def level(number: int) -> float:
        turned = phase + number * LOOK_S / DAY
        return MEAN * (1 + world.season * math.sin(2 * math.pi * turned))

    old = ndcg(rng, level(0), per_look)
    found = before(arm(old, clicks(rng, old), 1))
    plan = plan_watch(found, per_look, limits)
    live = held = (np.empty(0), np.empty(0))
    decision, decided, failed = WatchDecision.HOLD, 0, 0
    means, answered, kayenta = [], [], []
    for number in range(1, max(plan.looks_max, LOOKS) + 1):
        kept = int(rng.binomial(per_look, plan.share))
        lost = int(rng.binomial(per_look - kept, kind.failing))
        fresh = served(
            rng, level(number), per_look - kept - lost, kind.drop, everywhere=world.everywhere
        )
        stale = ndcg(rng, level(number), kept)
        live = np.concatenate([live[0], fresh]), np.concatenate([live[1], clicks(rng, fresh)])
        held = np.concatenate([held[0], stale]), np.concatenate([held[1], clicks(rng, stale)])
        failed += lost
        means.append(float(fresh.mean()))
        answered.append(1 - lost / (per_look - kept))
        if others:
            kayenta.append(mann_whitney_z(live[0], held[0]))
        if not decided:
            seen = look(number, plan, found, arm(*live, number, failed), arm(*held, number))
            if seen.decision != WatchDecision.HOLD or (
                number >= plan.looks and not seen.too_few
            ) or number == plan.looks_max:  # fmt: skip
                decision, decided = seen.decision, number
        if decided and (not others or number >= LOOKS):
            break
    return Release(
        str(decision), decided, float(old.mean()), np.array(means[:LOOKS]),
        np.array(answered[:LOOKS]), np.array(kayenta[:LOOKS]),
    )  # fmt: skip


def first(crossed: NDArray[np.bool_], needed: int = 1) -> int:
    """The look at which ``needed`` looks have crossed; ``LOOKS + 1`` where that never is."""
    at = np.flatnonzero(np.cumsum(crossed) >= needed)
    return int(at[0]) + 1 if at.size else LOOKS + 1


Rule = Callable[[Release, float], int]
RULES: dict[str, tuple[Rule, float, Callable[[Release], Vector]]] = {
    "the spec's rule": (
        lambda one, limit: first(one.means < one.baseline * (1 - limit)),
        0.0,
        lambda one: 1 - one.means / one.baseline,
    ),
    "Flagger, 5 checks": (
        lambda one, limit: first(
            (one.means < one.baseline * (1 - limit)) | (one.answered < 0.99), FLAGGER_CHECKS
        ),
        0.03,
        lambda one: 1 - one.means / one.baseline,
    ),
    "Argo Rollouts, failureLimit 0": (
        lambda one, limit: min(
            first(one.means < one.baseline * (1 - limit)), first(one.answered < 0.95)
        ),
        0.03,
        lambda one: 1 - one.means / one.baseline,
    ),
    "Argo Rollouts, failureLimit 3": (
        lambda one, limit: min(
            first(one.means < one.baseline * (1 - limit), 4), first(one.answered < 0.95, 4)
        ),
        0.03,
        lambda one: 1 - one.means / one.baseline,
    ),
    "Kayenta, Mann-Whitney": (
        lambda one, limit: first(one.kayenta < -limit),
        KAYENTA_Z,
        lambda one: -one.kayenta,
    ),
}
"""By name: the look that rolls back at a limit, the limit as shipped, and what it is held to."""


def tuned(rule: Rule, sizes: Callable[[Release], Vector], equal: list[Release], rate: float
          ) -> float:  # fmt: skip
    """The smallest limit at which at most ``rate`` of the equal releases are rolled back."""
    candidates = np.unique(np.concatenate([sizes(one) for one in equal]))
    low, high = 0, candidates.size - 1
    while low < high:
        middle = (low + high) // 2
        limit = float(candidates[middle])
        caught = sum(rule(one, limit) <= LOOKS for one in equal) / len(equal)
        low, high = (low, middle) if caught <= rate else (middle + 1, high)
    return float(candidates[low])


def described(numbers: list[int]) -> dict[str, float]:
    """Share rolled back, within two looks, and the mean, median and 95th percentile of the look."""
    found = np.array(numbers)
    return {
        "rolled_back": float((found <= LOOKS).mean()),
        "within_2": float((found <= 2).mean()),
        "mean_look": float(found.mean()),
        "median_look": float(np.median(found)),
        "p95_look": float(np.quantile(found, 0.95, method="higher")),
    }


def own(releases: list[Release]) -> list[int]:
    """The looks at which Predator rolled back."""
    return [
        one.number if one.decision == WatchDecision.ROLL_BACK else LOOKS + 1 for one in releases
    ]


def limits_of(**changes: Any) -> WatchLimits:
    given: dict[str, Any] = {
        "looks": LOOKS, "look_s": LOOK_S, "share": 0.05, "share_max": 0.2, "extend_max": 2,
        "tolerated_drop_rel": 0.05, "gross_drop_rel": 0.2, "alpha": 0.05,
    }  # fmt: skip
    return WatchLimits(**{**given, **changes})


def cell(
    world: World, kind: Kind, releases: int, per_look: int, limits: WatchLimits, *, others: bool
) -> list[Release]:  # fmt: skip
    rng = np.random.default_rng(
        [world.seed, per_look, round(1000 * world.season), KINDS.index(kind), world.everywhere]
    )
    return [watched(rng, kind, per_look, world, limits, others=others) for _ in range(releases)]


def rules(world: World, releases: int, per_look: int, share: float) -> dict[str, Any]:
    """Every rule, as shipped and at one rate of false rollbacks."""
    limits = limits_of(share=share, share_max=share, extend_max=1, tolerated_drop_rel=0.06)
    seen = {kind.name: cell(world, kind, releases, per_look, limits, others=True) for kind in KINDS}
    ours = {name: described(own(found)) for name, found in seen.items()}
    kept = {
        name: sum(one.decision == WatchDecision.KEEP for one in found) / releases
        for name, found in seen.items()
    }
    rate = ours["equal"]["rolled_back"]
    found: dict[str, Any] = {"Predator": {"shipped": ours, "same_rate": ours, "kept": kept}}
    for name, (rule, limit, sizes) in RULES.items():
        at_rate = tuned(rule, sizes, seen["equal"], rate)
        found[name] = {
            kind: {what: described([rule(one, at) for one in seen[what]]) for what in seen}
            for kind, at in (("shipped", limit), ("same_rate", at_rate))
        } | {"limit": at_rate}
    return {
        "season": world.season, "everywhere": world.everywhere, "searches_per_look": per_look,
        "holdback_share": share,
        "releases": releases, "rules": found,
    }  # fmt: skip


def curve(world: World, releases: int, sizes: list[int]) -> list[dict[str, Any]]:
    """Predator's watch by traffic, planned for a drop of 5% as a contour would."""
    rows = []
    for per_look in sizes:
        row: dict[str, Any] = {"searches_per_look": per_look, "season": world.season}
        for kind in KINDS:
            found = cell(world, kind, releases, per_look, limits_of(), others=False)
            row[kind.name] = {
                "rolled_back": sum(one.decision == WatchDecision.ROLL_BACK for one in found)
                / releases,
                "within_2": described(own(found))["within_2"],
                "kept": sum(one.decision == WatchDecision.KEEP for one in found) / releases,
            }
        old = np.random.default_rng(world.seed)
        values = ndcg(old, MEAN, per_look)
        plan = plan_watch(before(arm(values, clicks(old, values), 1)), per_look, limits_of())
        row["plan"] = {
            "holdback_share": plan.share, "looks": plan.looks, "sees_rel": dict(plan.sees_rel),
        }  # fmt: skip
        rows.append(row)
    return rows


def print_rules(found: dict[str, Any]) -> None:
    print(
        f"\n{found['searches_per_look']} searches a look, {found['holdback_share']:.0%} held back, "
        f"season ±{found['season']:.0%}, {found['releases']} releases of each kind"
    )
    for kind, title in (("shipped", "as shipped"), ("same_rate", "at one rate of false rollbacks")):
        print(
            f"{title:<33}{'equal':>8}{'+3%':>8}{'-5%':>8}{'mean':>7}{'median':>8}{'95%':>6}"
            f"{'-30% ≤2':>9}{'errors ≤2':>11}"
        )
        for name, one in found["rules"].items():
            by = one[kind]
            print(
                f"  {name:<31}{by['equal']['rolled_back']:>8.1%}{by['+3%']['rolled_back']:>8.1%}"
                f"{by['-5%']['rolled_back']:>8.1%}{by['-5%']['mean_look']:>7.1f}"
                f"{by['-5%']['median_look']:>8.0f}{by['-5%']['p95_look']:>6.0f}"
                f"{by['-30%']['within_2']:>9.1%}{by['10% errors']['within_2']:>11.1%}"
            )


def print_curve(rows: list[dict[str, Any]]) -> None:
    print(f"\nPredator's watch by searches a look, season ±{rows[0]['season']:.0%}")
    print(
        f"{'searches':>9}{'held':>7}{'looks':>7}{'sees':>7}{'equal':>8}{'kept':>7}{'+3%':>7}"
        f"{'-5%':>8}{'kept':>7}{'-30% ≤2':>9}{'errors ≤2':>11}"
    )
    for row in rows:
        plan, sees = row["plan"], min(row["plan"]["sees_rel"].values())
        print(
            f"{row['searches_per_look']:>9}{plan['holdback_share']:>7.1%}{plan['looks']:>7}"
            f"{min(sees, 1):>7.1%}{row['equal']['rolled_back']:>8.1%}{row['equal']['kept']:>7.0%}"
            f"{row['+3%']['rolled_back']:>7.1%}{row['-5%']['rolled_back']:>8.1%}"
            f"{row['-5%']['kept']:>7.1%}{row['-30%']['within_2']:>9.1%}"
            f"{row['10% errors']['within_2']:>11.1%}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--releases", type=int, default=1000)
    parser.add_argument("--curve", type=int, default=100, help="releases of each kind in the curve")
    parser.add_argument("--season", type=float, default=0.05)
    parser.add_argument("--everywhere", action="store_true", help="a little from each search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    started = time.process_time()
    found: dict[str, Any] = {"rules": [], "curve": []}
    cells = ((given.season, 800, 0.05), (given.season, 300, 0.2), (0.0, 800, 0.05))
    for season, per_look, share in cells:
        world = World(given.seed, season, given.everywhere)
        one = rules(world, given.releases, per_look, share)
        found["rules"].append(one)
        if not given.json:
            print_rules(one)
    if given.curve:
        sizes = [100, 200, 400, 800, 1600, 3200]
        world = World(given.seed, given.season, given.everywhere)
        found["curve"] = curve(world, given.curve, sizes)
        if not given.json:
            print_curve(found["curve"])
    found["cpu_s"] = round(time.process_time() - started, 1)
    print(json.dumps(found))


if __name__ == "__main__":
    main()

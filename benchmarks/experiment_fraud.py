"""Clicks that are bought: attackers in an experiment whose candidate is truly worse.

People search about six times a week, click by moods of their own, come back to what they found
before (three searches in ten), and a few search a lot. The candidate gets 3% fewer clicks. A share
of the identities are attackers, who know which arm has answered them:

- ``document``: they want one document on top. The candidate ranks it first, the baseline fifth;
  they search for it and click it, nothing else.
- ``arm``: they want the candidate. From it they click the top of every list, from the baseline
  nothing.

A worse candidate also passes by chance, at less than the experiment's own error: once in 2,000
experiments of the bounded cells. So what is bounded is a rate that chance does not explain; that no
promotion has a lower NDCG@10 on Gold is the gate's work, which comes first.

``flooding`` ones search 300 times, ``slow`` ones three times a day. What is shown and not bounded:
attackers who search no more than people do, six times in all. Nobody can tell one of them from a
person whom nothing satisfies, or everything; how often they get their way is what that costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.rates import Row, row
from predator.domain.verdicts import Verdict
from predator.loop.experiment.evidence import Limits, gather
from predator.loop.experiment.look import QUARANTINE_SHARE, look
from predator.loop.experiment.plan import Plan, plan
from predator.loop.experiment.result import Point, Result
from predator.ports.feedback import Impression

DAY = 86_400.0
USERS = 1500
WORSE = 0.97
ANSWERS = 20_000
TARGET = "target"
LIMITS = Limits(4.0, 0.15, 50.0, 0.5)
LOOKS = (7.0, 10.0, 14.0)
"""Days at which it is looked at."""
BY_CHANCE = "≤ 0.001"
SEARCHES = {"flooding": 300, "slow": 3 * 14, "like people": 6}


def attacks(rounds: int, seed: int = 0) -> list[Row]:
    """Every kind of attack at every share of the identities."""
    found: list[Row] = []
    for pace in SEARCHES:
        for aim in ("document", "arm"):
            for share in (0.001, 0.005, 0.01, 0.02, 0.05):
                found += _attacked(pace, aim, share, rounds, [seed, len(found)])
    return [*found, *_clean(rounds, [seed, 999])]


def _attacked(pace: str, aim: str, share: float, rounds: int, seed: Sequence[int]) -> list[Row]:
    rng = np.random.default_rng(seed)
    promoted = quarantined = 0
    for _ in range(rounds):
        result = experiment(rng, pace, aim, share)
        promoted += result.verdict is Verdict.PASS
        quarantined += result.excluded.quarantined
    name = f"{share:.1%} of identities, {pace}, at the {aim}"
    bounded = pace != "like people"
    limit = BY_CHANCE if bounded else "shown"
    rows = [row(f"{name}: promoted though worse", promoted, rounds, limit)]
    if share >= QUARANTINE_SHARE:
        limit = "≥ 0.95" if bounded else "shown"
        rows.append(row(f"{name}: quarantined", quarantined, rounds, limit))
    return rows


def _clean(rounds: int, seed: Sequence[int]) -> list[Row]:
    rng = np.random.default_rng(seed)
    flagged = people = quarantined = promoted = 0
    for _ in range(rounds):
        result = experiment(rng, "slow", "arm", 0.0)
        flagged += result.excluded.users
        people += sum(result.users.values()) + result.excluded.users
        quarantined += result.excluded.quarantined
        promoted += result.verdict is Verdict.PASS
    return [
        row("nobody attacks: promoted though worse", promoted, rounds, BY_CHANCE),
        row("nobody attacks: people taken for machines", flagged, people, "≤ 0.01"),
        row("nobody attacks: quarantined", quarantined, rounds, "≤ 0.01"),
    ]


def experiment(rng: np.random.Generator, pace: str, aim: str, share: float) -> Result:
    """One experiment under attack: planned, looked at three times, decided."""
    planned = _planned(rng)
    points: Sequence[Point] = ()
    searches = [*_people(rng), *_attackers(rng, pace, aim, round(USERS * share / (1.0 - share)))]
    for number, day in enumerate(LOOKS, 1):
        seen = gather([one for one in searches if one.at <= day * DAY], LIMITS)
        result = look(
            planned, seen, LIMITS,
            number=number, elapsed_s=day * DAY, last=day == LOOKS[-1], looks=points,
        )  # fmt: skip
        points = result.looks
        if result.ended:
            break
    return result


def _planned(rng: np.random.Generator) -> Plan:
    history = [one for one in _people(rng, worse=1.0) if one.at < 3 * DAY]
    rate = len(history) / (3 * DAY)
    return plan(
        history, 0.2, 0.1,
        share=0.2, alpha=0.05, power=0.8, rate_per_s=rate, min_s=7 * DAY, max_s=14 * DAY,
    )  # fmt: skip


def _people(rng: np.random.Generator, worse: float = WORSE) -> list[Impression]:
    moods = rng.beta(4.5, 3.0, USERS)
    activity = np.minimum(rng.poisson(6.0 * rng.lognormal(-0.32, 0.8, USERS)), 200)
    made = []
    for user in range(USERS):
        arm = "candidate" if rng.random() < 0.2 else "baseline"
        known: list[int] = []
        for _ in range(int(activity[user])):
            again = bool(known) and rng.random() < 0.3
            document = known[int(rng.integers(len(known)))] if again else int(rng.zipf(1.3))
            known.append(document)
            chance = moods[user] * (worse if arm == "candidate" else 1.0)
            clicks = (int(min(10, rng.geometric(0.55))),) if rng.random() < chance else ()
            at = float(rng.random() * 14 * DAY)
            rating = (5 if clicks else 4) if rng.random() < 0.15 else None
            made.append(_search(f"p{user}", arm, clicks, f"d{document % ANSWERS}", at, rating))
    return made


def _attackers(rng: np.random.Generator, pace: str, aim: str, count: int) -> list[Impression]:
    made = []
    for attacker in range(count):
        arm = "candidate" if rng.random() < 0.2 else "baseline"
        for _ in range(SEARCHES[pace]):
            if aim == "document":
                place, document = (1 if arm == "candidate" else 5), TARGET
            else:
                place, document = (1 if arm == "candidate" else 0), f"d{rng.zipf(1.3)}"
            clicks = (place,) if place else ()
            at = float(rng.random() * 14 * DAY)
            made.append(_search(f"a{attacker}", arm, clicks, document, at, None))
    return made


def _search(
    user: str, arm: str, clicks: tuple[int, ...], document: str, at: float, rating: int | None
) -> Impression:
    hits = tuple(document if place + 1 in clicks else f"other{place}" for place in range(10))
    return Impression("", "", user, "", "", arm, hits, clicks, rating, 10.0, at)

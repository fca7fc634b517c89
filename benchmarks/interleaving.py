"""How many searches interleaving takes beside an A/B test, and whether it is fair, by simulation.

    python -m benchmarks.interleaving [--queries 100000] [--rounds 400] [--seed 0] [--json]

Two rankers of 20 documents with grades 0 to 2 per query; the candidate's NDCG@10 is 3% higher.
``cells``: {position-based, cascade} users × {clean, noisy} clicks × {few, many} queries that the
candidate orders otherwise, some of them worse. Each row is the share of an A/B test's searches that
interleaving needs: both arms together, 80/20, click-MRR, against drafted lists with the credit of
``predator.statistics.interleaving``; one-sided at 5% with a power of 80%, one look each. Then the
power that the screen has at that size, in rounds of its own.

``equal``: rankers of the same NDCG@10 that differ, in both directions. *Preference* is how far the
share of searches that the candidate wins (ties half) lies from one half: the noise of a coin apart,
it should be nought. ``churn``: other mistakes; ``groups``: each good on half of the queries;
``bold``: hit or miss; ``top``: one finds the best document, the other the good ones. *GO* is how
often the screen lets it through at the size of a true +3% in many queries. A user who leaves at the
first good document is better served by the ranker that is better at the top, at equal NDCG: such
users do prefer one of ``top`` and of ``bold``. Those figures are shown, not bounded: a GO is not a
promotion, and the experiment after it counts the same users' clicks.

Prints a table, then the same as one line of JSON (``--json``: only that). Exit 1 where a limit is
not kept.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, stdtr

from benchmarks.rates import Row, end, row, table
from predator.statistics.click_model import EXAMINATION_DECAY, examination
from predator.statistics.power import experiment_size

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Flags = NDArray[np.bool_]

DOCUMENTS, DEPTH = 20, 10
GAIN, ALPHA, POWER, SHARE = 0.03, 0.05, 0.8, 0.2
CHANGED = {"few": 0.2, "many": 0.8}
CLICKS = {"clean": (0.05, 0.5, 0.95), "noisy": (0.25, 0.45, 0.7)}
"""Chance of a click on an examined document, by grade; the gap is what a click tells."""
STOP, GOES_ON = (0.4, 0.8, 1.0), 0.9
"""A cascade user leaves after a click by the grade, and after any document one time in ten."""
USERS = ("position-based", "cascade")
PAIRS = ("churn", "groups", "bold", "top")
SYMMETRIC = frozenset({"churn", "groups"})
"""Pairs whose rankers could change names: their GO rate is bounded under every kind of user."""

MOST_SEARCHES = 1_000_000

_DISCOUNT = np.concatenate(
    [[0.0], 1 / np.log2(1.0 + np.arange(1, DEPTH + 1)), np.zeros(DOCUMENTS - DEPTH)]
)


@dataclass(frozen=True, slots=True)
class Pair:
    """Grades (queries, documents) and the ranks that either ranker gives, from 1."""

    grades: Whole
    live: Whole
    candidate: Whole


Maker = Callable[[np.random.Generator, int, float], Pair]
"""Makes so many queries of a pair whose candidate has a strength."""


def ranks(scores: Floats) -> Whole:
    """The rank of each document, 1 for the highest score."""
    order = np.argsort(-scores, axis=1)
    found: Whole = np.empty_like(order)
    np.put_along_axis(found, order, np.arange(1, scores.shape[1] + 1)[None], axis=1)
    return found


def ndcg(given: Whole, grades: Whole) -> Floats:
    """NDCG@10 of each query, gain ``2 ** grade - 1``; 0 where nothing is relevant."""
    gain = 2.0**grades - 1
    ideal = -np.sort(-gain, axis=1)[:, :DEPTH] @ _DISCOUNT[1 : DEPTH + 1]
    found: Floats = (gain * _DISCOUNT[given]).sum(axis=1) / np.maximum(ideal, 1e-9)
    return found


def better(rng: np.random.Generator, queries: int, changed: float, strength: float) -> Pair:
    """A candidate that orders a share of the queries anew, by ``strength`` more to the point."""
    grades = _grades(rng, queries)
    live = 1.5 * grades + rng.normal(size=grades.shape)
    anew = (rng.random(queries) < changed)[:, None]
    other = live + np.where(anew, strength * grades + 0.8 * rng.normal(size=grades.shape), 0.0)
    return Pair(grades, ranks(live), ranks(other))


def different(rng: np.random.Generator, queries: int, kind: str, strength: float) -> Pair:
    """Two rankers that differ in ``kind``; ``strength`` moves the candidate's NDCG."""
    grades = _grades(rng, queries)
    noise, other = rng.normal(size=grades.shape), rng.normal(size=grades.shape)
    points: Floats = grades.astype(np.float64)
    live: Floats
    candidate: Floats
    if kind == "groups":
        half = (rng.random(queries) < 0.5)[:, None]
        live = points * np.where(half, 2.2, 0.8)
        candidate = points * np.where(half, 0.8, 2.2 + strength)
    elif kind == "top":
        live = np.where(grades == 2, 3.0, points)
        candidate = np.where(grades == 2, 2.0 + strength, 2.0 * points)
    else:
        live, candidate = 1.5 * points, (1.5 + strength) * points
        if kind == "bold":
            other = rng.standard_t(2, size=grades.shape)
    return Pair(grades, ranks(live + noise), ranks(candidate + other))


def calibrated(make: Maker, gain: float, queries: int, seed: int) -> float:
    """The strength by which the candidate's mean NDCG is ``gain`` higher, relatively."""

    def missing(strength: float) -> float:
        one = make(np.random.default_rng([seed, 99]), queries, strength)
        live = ndcg(one.live, one.grades).mean()
        return float(ndcg(one.candidate, one.grades).mean() / live) - 1.0 - gain

    return float(brentq(missing, -1.4, 4.0, xtol=1e-3))


def drafted(one: Pair, coins: Flags) -> Whole:
    """The place of each document in a team-draft list, 0 where it is not shown.

    ``coins`` (queries, rounds): whether the candidate picks first.
    """
    rows = np.arange(len(one.grades))
    taken = np.zeros(one.live.shape, bool)
    places = np.zeros(one.live.shape, np.int64)
    for place in range(DEPTH):
        first = coins[:, place // 2]
        candidates = first if place % 2 == 0 else ~first
        rank = np.where(candidates[:, None], one.candidate, one.live)
        pick = np.where(taken, DOCUMENTS + 1, rank).argmin(axis=1)
        taken[rows, pick] = True
        places[rows, pick] = place + 1
    return places


def clicked(
    rng: np.random.Generator, places: Whole, grades: Whole, user: str, clicks: str
) -> Flags:
    """Which documents are clicked by users of one kind who see ``places``."""
    attraction = np.array(CLICKS[clicks])[grades]
    shown = (places > 0) & (places <= DEPTH)
    if user == "position-based":
        seen = np.where(shown, examination(DEPTH)[np.clip(places, 1, DEPTH) - 1], 0.0)
        return np.asarray(rng.random(places.shape) < seen * attraction, dtype=bool)
    found = np.zeros(places.shape, bool)
    rows, stays = np.arange(len(places)), np.ones(len(places), bool)
    stop = np.array(STOP)[grades]
    for place in range(1, DEPTH + 1):
        at = (places == place).argmax(axis=1)
        click = stays & (rng.random(len(places)) < attraction[rows, at])
        found[rows, at] |= click
        stays &= ~(click & (rng.random(len(places)) < stop[rows, at]))
        stays &= rng.random(len(places)) < GOES_ON
    return found


def click_mrr(rank: Whole, grades: Whole, user: str, clicks: str) -> tuple[Floats, Floats]:
    """For each query, the expectation of the reciprocal of the topmost clicked place of ten (0
    without a click), and that of its square."""
    attraction = np.take_along_axis(
        np.array(CLICKS[clicks])[grades], np.argsort(rank, axis=1)[:, :DEPTH], axis=1
    )
    reached = examination(DEPTH) if user == "position-based" else np.ones(DEPTH)
    chance = attraction * reached
    goes_on = 1.0 - chance if user == "position-based" else (1.0 - chance) * GOES_ON
    first = chance * np.cumprod(np.hstack([np.ones((len(rank), 1)), goes_on[:, :-1]]), axis=1)
    places = np.arange(1, DEPTH + 1)
    return first @ (1.0 / places), first @ (1.0 / places**2)


def credits_of(one: Pair, places: Whole, clicks: Flags) -> Floats:
    """The candidate's credit a search: as ``predator.statistics.interleaving.credit``, at once."""
    gain = _DISCOUNT[_listed(one.candidate)] - _DISCOUNT[_listed(one.live)]
    found: Floats = (clicks * gain * np.maximum(places, 1) ** EXAMINATION_DECAY).sum(axis=1)
    return found


def credits_by(rng: np.random.Generator, one: Pair, user: str, clicks: str) -> Floats:
    """Credits of drafted lists that such users read."""
    coins = rng.random((len(one.grades), DEPTH)) < 0.5
    places = drafted(one, coins)
    return credits_of(one, places, clicked(rng, places, one.grades, user, clicks))


def ab_size(one: Pair, user: str, clicks: str) -> float:
    """Searches of an A/B test in both arms; infinite where the candidate's click-MRR is lower.

    From the exact expectations of every query, so that no luck of the clicks is in it.
    """
    (live, square), (candidate, _) = (
        click_mrr(rank, one.grades, user, clicks) for rank in (one.live, one.candidate)
    )
    effect = float(candidate.mean() - live.mean())
    if effect <= 0:
        return math.inf
    spread = math.sqrt(float(square.mean()) - float(live.mean()) ** 2)
    return experiment_size(spread, effect, SHARE, alpha=ALPHA, power=POWER)


def interleaving_size(credit: Floats) -> float:
    """Drafted searches that show the candidate's mean credit; infinite where it has none."""
    mean = float(credit.mean())
    if mean <= 0:
        return math.inf
    z = float(ndtri(1 - ALPHA) + ndtri(POWER))
    return (z * float(credit.std(ddof=1)) / mean) ** 2


def goes(credit: Floats, size: int) -> Flags:
    """Whether the screen says GO, for each ``size`` searches of ``credit`` (one search a user)."""
    rounds = len(credit) // size
    parts = credit[: rounds * size].reshape(rounds, size)
    error = parts.std(axis=1, ddof=1) / math.sqrt(size)
    p_value = stdtr(size - 1, -parts.mean(axis=1) / np.maximum(error, 1e-12))
    found: Flags = p_value <= ALPHA
    return found


def cells(queries: int, rounds: int, seed: int) -> tuple[list[Row], dict[tuple[str, str], int]]:
    """Every cell's share of an A/B test's searches, and the screen's size by kind of user."""
    found: list[Row] = []
    sizes: dict[tuple[str, str], int] = {}
    shares = []
    for name, changed in CHANGED.items():

        def make(
            rng: np.random.Generator, n: int, strength: float, changed: float = changed
        ) -> Pair:
            return better(rng, n, changed, strength)

        made = partial(make, n=queries, strength=calibrated(make, GAIN, 2 * queries, seed))
        for user in USERS:
            for clicks in CLICKS:
                rng = np.random.default_rng([seed, len(found)])
                batches = [_share(rng, made(rng), user, clicks) for _ in range(5)]
                each = [share for share, _ in batches]
                size = math.ceil(float(np.median([size for _, size in batches])))
                cell = f"{user}, {clicks} clicks, {name} changed"
                found.append(_spread(f"{cell}: share", each, "≤ 0.3333"))
                shares.append(float(np.median(each)))
                sizes[user, clicks] = size  # "many" comes last and stays
                went = goes(_credits(rng, made, user, clicks, size, rounds), size)
                found.append(_rate(f"{cell}: power at {size}", went, "≥ 0.76"))
    middle = float(np.median(shares))
    return [*found, Row("the median cell: share", middle, min(shares), max(shares), len(shares),
                        "≤ 0.125", middle <= 0.125)], sizes  # fmt: skip


def equals(queries: int, rounds: int, seed: int, sizes: dict[tuple[str, str], int]) -> list[Row]:
    """What is preferred where nothing is better."""
    found: list[Row] = []
    for number, kind in enumerate(PAIRS):

        def make(rng: np.random.Generator, n: int, strength: float, kind: str = kind) -> Pair:
            return different(rng, n, kind, strength)

        # Those of SYMMETRIC are equal by their making; to estimate it would only add noise.
        strength = 0.0 if kind in SYMMETRIC else calibrated(make, 0.0, 2 * queries, seed)
        made = partial(make, n=queries, strength=strength)
        for user in USERS:
            for clicks in CLICKS:
                rng = np.random.default_rng([seed, 7, number, len(found)])
                bounded = (kind, user) != ("top", "cascade")
                credit = credits_by(rng, made(rng), user, clicks)
                away = float(np.sign(credit).mean()) / 2
                half = 0.98 * float(np.sign(credit).std()) / math.sqrt(len(credit))
                low, high = max(0.0, abs(away) - half), abs(away) + half
                name = f"{kind}, {user}, {clicks} clicks"
                found.append(
                    Row(f"{name}: preference", abs(away), low, high, len(credit),
                        "≤ 0.05" if bounded else "shown", low <= 0.05 or not bounded)
                )  # fmt: skip
                size = sizes[user, clicks]
                both = _credits(rng, made, user, clicks, size, rounds)
                ways = goes(both, size), goes(-both, size)
                if kind in SYMMETRIC:
                    went = np.concatenate(ways)
                    found.append(_rate(f"{name}: GO at {size}, either way", went, "≤ 0.05"))
                else:
                    went = max(ways, key=lambda one: float(one.mean()))
                    found.append(_rate(f"{name}: GO at {size}, the worse way", went, "shown"))
    return found


def _share(rng: np.random.Generator, one: Pair, user: str, clicks: str) -> tuple[float, float]:
    size = interleaving_size(credits_by(rng, one, user, clicks))
    return size / ab_size(one, user, clicks), size


def _credits(
    rng: np.random.Generator,
    make: Callable[[np.random.Generator], Pair],
    user: str,
    clicks: str,
    size: int,
    rounds: int,
) -> Floats:
    """Credits for ``rounds`` screens of ``size`` searches, or for as many as fit into the most
    searches that a row may cost (ten screens at least)."""
    rounds = max(10, min(rounds, MOST_SEARCHES // size))
    credit: list[Floats] = []
    while sum(map(len, credit)) < rounds * size:
        credit.append(credits_by(rng, make(rng), user, clicks))
    return np.concatenate(credit)[: rounds * size]


def _grades(rng: np.random.Generator, queries: int) -> Whole:
    drawn = rng.random((queries, DOCUMENTS))
    grades: Whole = (drawn < 0.15).astype(np.int64) + (drawn < 0.06)
    grades[:, 0] = np.maximum(grades[:, 0], 1)  # something can be found
    return grades


def _listed(rank: Whole) -> Whole:
    """Places of one ranker's list of ten; 0 beyond it."""
    found: Whole = np.where(rank <= DEPTH, rank, 0)
    return found


def _spread(name: str, values: Sequence[float], limit: str) -> Row:
    middle = float(np.median(values))
    return Row(
        name, middle, min(values), max(values), len(values), limit,
        middle <= float(limit.partition(" ")[2]),
    )  # fmt: skip


def _rate(name: str, went: Flags, limit: str) -> Row:
    return row(name, int(went.sum()), len(went), limit)


def main() -> None:
    parser = argparse.ArgumentParser(description="interleaving beside an A/B test")
    parser.add_argument("--queries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    started = time.perf_counter()
    shares, sizes = cells(given.queries, given.rounds, given.seed)
    rows = {"cells": shares, "equal": equals(given.queries, given.rounds, given.seed, sizes)}
    if not given.json:
        table([*rows["cells"], *rows["equal"]])
    end(rows, time.perf_counter() - started)


if __name__ == "__main__":
    main()

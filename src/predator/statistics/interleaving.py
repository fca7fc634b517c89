"""Two rankers in one list: who reads it says by clicks which of them is better.

Each user compares the two for himself, so that what differs between users cancels: far fewer
searches than an experiment in which half of the users see one ranker and half the other.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from predator.statistics.click_model import EXAMINATION_DECAY
from predator.statistics.gain import student_test
from predator.statistics.samples import finite_sample, open_unit

LIVE, CANDIDATE = "live", "candidate"
INTERLEAVED, UNANSWERED = "interleaved", "failed"
"""The variants of a drafted search, and of one whose candidate gave no list to draft from."""
FEWEST_USERS = 30
"""Below this a t-test leans on a normality that a few clicks do not have."""
_NO_SPREAD = 1e-12

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Place(Generic[T]):
    """One place of a drafted list: the item, the team that put it there, and its 1-based rank in
    each of the two lists (0 where a list does not hold it)."""

    item: T
    team: str
    live_rank: int
    candidate_rank: int


@dataclass(frozen=True, slots=True)
class Preference:
    """What the users of drafted lists preferred.

    ``mean``: the candidate's credit a search, in DCG gained, over users who each count once, with
    ``ci_low`` to ``ci_high`` (95%, two-sided); ``p_better`` and ``p_worse``: one-sided p-values
    against "it is not better" and "it is not worse"; ``wins`` and ``losses``: users who preferred
    the candidate, or the live one.
    """

    mean: float
    ci_low: float
    ci_high: float
    p_better: float
    p_worse: float
    searches: int
    users: int
    wins: int
    losses: int


def coins(query_id: str, rounds: int) -> list[bool]:
    """Who picks first in each round (true: the candidate), the same for one query id for ever."""
    found: list[bool] = []
    block = 0
    while len(found) < rounds:
        text = f"{block}\x1f{query_id}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(text, digest_size=32, person=b"team draft").digest()
        found += [bool(byte >> bit & 1) for byte in digest for bit in range(8)]
        block += 1
    return found[:rounds]


def team_draft(
    live: Sequence[T], candidate: Sequence[T], length: int, first: Sequence[bool]
) -> list[Place[T]]:
    """Up to ``length`` places drafted from two lists, best first.

    In each round both teams take the best item that is left of theirs; ``first`` says, round by
    round, whether the candidate takes its one first (Radlinski, Kurup and Joachims 2008, CIKM).
    A list that is used up leaves the rest to the other. Raises ``ValueError`` where ``first`` has
    too few rounds, or a list holds an item twice.
    """
    lists = {LIVE: live, CANDIDATE: candidate}
    ranks = {team: {item: at + 1 for at, item in enumerate(items)} for team, items in lists.items()}
    for team, items in lists.items():
        if len(ranks[team]) != len(items):
            raise ValueError(f"the list of {team} holds an item twice")
    if len(first) < (length + 1) // 2:
        raise ValueError(f"{len(first)} coins for {length} places")
    left = {team: iter(items) for team, items in lists.items()}
    taken: dict[T, str] = {}
    for coin in first:
        for team in (CANDIDATE, LIVE) if coin else (LIVE, CANDIDATE):
            if len(taken) < length:
                item = next((one for one in left[team] if one not in taken), None)
                if item is not None:
                    taken[item] = team
        if len(taken) >= length:
            break
    else:
        # One list ran dry: rounds in which only one team picks are worth half.
        for team, rest in left.items():
            for item in rest:
                if len(taken) < length and item not in taken:
                    taken[item] = team
    return [
        Place(item, team, ranks[LIVE].get(item, 0), ranks[CANDIDATE].get(item, 0))
        for item, team in taken.items()
    ]


def credit(
    clicks: Sequence[int],
    live_ranks: Sequence[int],
    candidate_ranks: Sequence[int],
    decay: float = EXAMINATION_DECAY,
) -> float:
    """The DCG that the candidate would gain over the live ranker by what was clicked.

    Of each clicked place (1-based; a repeated one counts once): the difference of the two rankers'
    discounts for that item, ``1 / log2(1 + rank)`` and 0 where a ranker does not list it, over the
    chance that the place was looked at (``place ** -decay``). Items that both rank alike say
    nothing, and cost no noise: that is where the power comes from. Where the examination curve
    holds, the expectation is the difference of the rankers' DCG on the items shown, so that
    rankers of equal DCG are not told apart, however they differ. Raises ``ValueError`` for a
    click outside the list.
    """
    total = 0.0
    for click in set(clicks):
        if not 1 <= click <= len(live_ranks):
            raise ValueError(f"a click at place {click} of {len(live_ranks)}")
        gain = _discount(candidate_ranks[click - 1]) - _discount(live_ranks[click - 1])
        total += gain * click**decay
    return total


def preference(users: Sequence[Hashable], credits_: ArrayLike, alpha: float = 0.05) -> Preference:
    """Which ranker users preferred, given one credit a search.

    Student's t over users, each with the mean of his credits: who searches a thousand times has
    one voice, as everybody. Raises ``ValueError`` for fewer than 30 users, unequal lengths or
    credits that are not finite.
    """
    open_unit("alpha", alpha)
    sample = finite_sample("credits", credits_)
    if len(users) != sample.size:
        raise ValueError(f"{len(users)} users for {sample.size} credits")
    numbers: dict[Hashable, int] = {}
    codes = np.fromiter((numbers.setdefault(u, len(numbers)) for u in users), np.intp, sample.size)
    clusters = len(numbers)
    if clusters < FEWEST_USERS:
        raise ValueError(f"{clusters} users, at least {FEWEST_USERS} needed")
    voices = np.bincount(codes, weights=sample, minlength=clusters) / np.bincount(codes)
    mean, error = float(voices.mean()), float(voices.std(ddof=1)) / math.sqrt(clusters)
    wins, losses = int((voices > 0).sum()), int((voices < 0).sum())
    if error <= _NO_SPREAD:
        if abs(mean) > _NO_SPREAD:
            raise ValueError("all credits are the same, which no users are")
        return Preference(0.0, 0.0, 0.0, 1.0, 1.0, int(sample.size), clusters, wins, losses)
    better = student_test(mean, error, clusters - 1, alpha)
    worse = student_test(-mean, error, clusters - 1, alpha)
    return Preference(
        mean, better.ci_low, better.ci_high, better.p_value, worse.p_value,
        int(sample.size), clusters, wins, losses,
    )  # fmt: skip


def _discount(rank: int) -> float:
    return 1.0 / math.log2(1.0 + rank) if rank > 0 else 0.0

"""Who is no person, by columns: ``statistics.fraud.suspects`` for searches with one click at most.

Many times as fast, which a year of looks needs. A test holds the two equal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from predator.simulation.year.served import NO_CLICK, Served, Whole
from predator.simulation.year.world import Floats
from predator.statistics.fraud import (
    CLICKS_A_SEARCH,
    DOCUMENT_CLICKS,
    DOCUMENT_SHARE,
    FALSE_FLAGS,
    FLOOD_SEARCHES,
    FLOOD_TIMES,
    INSTANT_REPEATS,
    INSTANT_S,
    Suspicion,
)


def suspects(seen: Served, at: Floats, documents: Whole) -> dict[int, Suspicion]:
    """Flagged users and why: ``at`` seconds, ``documents`` what was clicked, one entry a search."""
    if not seen.user.size:
        return {}
    counts = np.bincount(seen.user)
    users = int((counts > 0).sum())
    clicks = np.bincount(seen.user, weights=seen.first < NO_CLICK, minlength=counts.size)
    limit = max(float(FLOOD_SEARCHES), FLOOD_TIMES * float(np.quantile(counts[counts > 0], 0.9)))
    flood = np.flatnonzero((counts > limit) | (clicks > CLICKS_A_SEARCH * limit))
    found: dict[int, Suspicion] = {}
    for why, flagged in (
        (Suspicion.FLOOD, flood),
        (Suspicion.INSTANT, _instant(seen.user, at)),
        (Suspicion.DOCUMENT, _on_one_document(seen, documents, users)),
        (Suspicion.CONSTANT, _constant(seen, counts, users)),
    ):
        for user in flagged.tolist():
            found.setdefault(user, why)
    return found


def _instant(users: Whole, at: Floats) -> Whole:
    order = np.lexsort((at, users))
    same = (np.diff(users[order]) == 0) & (np.diff(at[order]) < INSTANT_S)
    return np.flatnonzero(np.bincount(users[order][1:][same], minlength=1) >= INSTANT_REPEATS)


def _on_one_document(seen: Served, documents: Whole, users: int) -> Whole:
    clicked = seen.first < NO_CLICK
    who, what = seen.user[clicked], documents[clicked]
    if not who.size:
        return who
    width = int(what.max()) + 1
    pairs, times = np.unique(who * width + what, return_counts=True)
    mine, total = np.bincount(who), np.bincount(what)
    owner, document = pairs // width, pairs % width
    all_mine = mine[owner]
    most = (all_mine >= DOCUMENT_CLICKS) & (times >= DOCUMENT_SHARE * all_mine)
    owner, document, times, all_mine = (
        owner[most], document[most], times[most], all_mine[most]
    )  # fmt: skip
    rate = (total[document] - times + 1.0) / (who.size - all_mine + 2.0)
    flagged: Whole = owner[_expected(rate, times, users) <= FALSE_FLAGS]
    return flagged


def alike(seen: Served, counts: Whole) -> NDArray[np.bool_]:
    """Of each user, who has ``counts`` searches, whether all of them were clicked alike."""
    last = _last(seen, counts)
    same = np.bincount(seen.user, weights=seen.first == last[seen.user], minlength=counts.size)
    found: NDArray[np.bool_] = (counts > 0) & (same == counts)
    return found


def _last(seen: Served, counts: Whole) -> Whole:
    last = np.zeros(counts.size, np.intp)
    last[seen.user] = seen.first
    return last


def _constant(seen: Served, counts: Whole, users: int) -> Whole:
    total = np.bincount(seen.first, minlength=NO_CLICK + 1)
    last = _last(seen, counts)
    alone = np.flatnonzero(alike(seen, counts))
    times = counts[alone]
    rate = (total[last[alone]] - times + 1.0) / (seen.user.size - times + 2.0)
    flagged: Whole = alone[_expected(rate, times, users) <= FALSE_FLAGS]
    return flagged


def _expected(rate: Floats, times: Whole, users: int) -> Floats:
    found: Floats = users * np.exp(times * np.log(np.minimum(rate, 1.0)))
    return found

"""Who is no person: users whose searches and clicks no crowd of people makes.

The rules look at what an identity does, never at the arm it is in: where the arms are equal, both
lose the same share. But what people do depends on what they are shown, and whoever finds nothing
never clicks; so an experiment that loses different shares of its arms says nothing
(:mod:`predator.loop.experiment.look`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

FLOOD_SEARCHES = 30
FLOOD_TIMES = 10.0
"""A flood: more searches than both, ten times what nine in ten users make. Activity of people is
about log-normal; ten times the 90th percentile lies more than three deviations out."""
CLICKS_A_SEARCH = 3.0
INSTANT_S, INSTANT_REPEATS = 0.1, 5
"""Nobody sends, reads and sends again within a tenth of a second, five times over."""
FALSE_FLAGS = 0.01
"""How many people of an experiment, in all, each rule of chance may take for a machine."""
DOCUMENT_CLICKS, DOCUMENT_SHARE = 6, 0.8


class Suspicion(StrEnum):
    """Why an identity is left out; the first that applies."""

    FLOOD = "flood"
    INSTANT = "instant"
    DOCUMENT = "document"
    CONSTANT = "constant"


def suspects(
    users: Sequence[int],
    at: Sequence[float],
    clicks: Sequence[Sequence[int]],
    documents: Sequence[Sequence[int]],
) -> dict[int, Suspicion]:
    """Flagged users and why. All arguments hold one entry a search, in any order.

    ``users`` numbers from 0; ``at`` seconds; ``clicks`` the 1-based positions clicked;
    ``documents`` what was clicked there, as numbers from 0. Flagged is who searches or clicks in
    floods; who searches again in the same instant, often; whose clicks nearly all fall on one
    document, though others rarely click it; and who does the very same thing in each of many
    searches (always the top, or never a click), though people do not. The last two compare with
    chance: at the rate of everybody else, :data:`FALSE_FLAGS` such users would be expected among
    all. People who differ in their habits do so a little more often.
    """
    if not users:
        return {}
    codes = np.asarray(users, dtype=np.intp)
    counts = np.bincount(codes)
    clicked = np.bincount(codes, weights=[len(one) for one in clicks], minlength=counts.size)
    found: dict[int, Suspicion] = {}
    limit = max(float(FLOOD_SEARCHES), FLOOD_TIMES * float(np.quantile(counts[counts > 0], 0.9)))
    flood = np.flatnonzero((counts > limit) | (clicked > CLICKS_A_SEARCH * limit))
    found.update((int(one), Suspicion.FLOOD) for one in flood)
    for user in _instant(codes, np.asarray(at, dtype=np.float64)):
        found.setdefault(user, Suspicion.INSTANT)
    for user in _on_one_document(users, documents):
        found.setdefault(user, Suspicion.DOCUMENT)
    for user in _constant(users, clicks):
        found.setdefault(user, Suspicion.CONSTANT)
    return found


def _instant(codes: NDArray[np.intp], at: NDArray[np.float64]) -> list[int]:
    order = np.lexsort((at, codes))
    same = (np.diff(codes[order]) == 0) & (np.diff(at[order]) < INSTANT_S)
    repeats = np.bincount(codes[order][1:][same], minlength=1)
    return [int(user) for user in np.flatnonzero(repeats >= INSTANT_REPEATS)]


def _on_one_document(users: Sequence[int], documents: Sequence[Sequence[int]]) -> list[int]:
    own: dict[int, dict[int, int]] = {}
    total: dict[int, int] = {}
    for user, clicked in zip(users, documents, strict=True):
        mine = own.setdefault(user, {})
        for document in clicked:
            mine[document] = mine.get(document, 0) + 1
            total[document] = total.get(document, 0) + 1
    everything = sum(total.values())
    found = []
    for user, mine in own.items():
        all_mine = sum(mine.values())
        if all_mine < DOCUMENT_CLICKS:
            continue
        document, most = max(mine.items(), key=lambda item: item[1])
        if most < DOCUMENT_SHARE * all_mine:
            continue
        others = everything - all_mine
        rate = (total[document] - most + 1.0) / (others + 2.0)
        if _expected(rate, most, len(own)) <= FALSE_FLAGS:
            found.append(user)
    return found


def _constant(users: Sequence[int], clicks: Sequence[Sequence[int]]) -> list[int]:
    own: dict[int, dict[tuple[int, ...], int]] = {}
    total: dict[tuple[int, ...], int] = {}
    for user, clicked in zip(users, clicks, strict=True):
        pattern = tuple(clicked)
        mine = own.setdefault(user, {})
        mine[pattern] = mine.get(pattern, 0) + 1
        total[pattern] = total.get(pattern, 0) + 1
    everything = len(users)
    found = []
    for user, mine in own.items():
        if len(mine) > 1:
            continue
        ((pattern, n),) = mine.items()
        rate = (total[pattern] - n + 1.0) / (everything - n + 2.0)
        if _expected(rate, n, len(own)) <= FALSE_FLAGS:
            found.append(user)
    return found


def _expected(rate: float, times: int, users: int) -> float:
    """How many of ``users`` would do what others do at ``rate`` so many times in a row."""
    return users * math.exp(times * math.log(rate)) if rate < 1.0 else float(users)

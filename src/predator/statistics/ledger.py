"""Error levels across an endless row of gates: what one more reading of Gold may cost.

A gate at a fixed level promotes noise sooner or later. Here each reading gets a level of its own,
so that the expected share of false passes among all passes (FDR) stays at most ``alpha``, however
many readings there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np

from predator.statistics.samples import open_unit

DECAY = 1.2
"""Levels fall as ``t ** -DECAY``. Their sum must converge, which takes more than 1; close to 1 they
fall slowest, and with discoveries at a steady rate LOND's levels then fall as ``t ** -0.2`` only.
Closer still leaves too little for the first readings: 1.1 halves the first level (0.0047 of 0.05
against 0.0089), and 1.5, which doubles it, loses a tenth of the real gains over 1,000 readings."""


class Kind(StrEnum):
    """``LOND`` where one Gold set is read again and again, ``LORD++`` where each is fresh."""

    LOND = "LOND"
    LORD = "LORD++"


@dataclass(frozen=True, slots=True)
class Level:
    """The level of reading ``index`` (1-based), after ``discoveries`` passes among those before.

    ``left`` is the sum of all levels that are still to come if nothing more is discovered.
    """

    kind: Kind
    index: int
    value: float
    discoveries: int
    left: float


def level(kind: Kind, alpha: float, history: Sequence[bool]) -> Level:
    """The level of the next reading, from whether each earlier one passed, oldest first.

    A reading whose outcome is not known (yet) is a ``False``: it was spent, and earns nothing.

    LOND (Javanmard and Montanari 2015; 2018, Annals of Statistics 46(2)) in the form of Zrnic,
    Ramdas and Jordan 2021 (JMLR 22(33), "Asynchronous Online Testing"): ``alpha · γ_t · max(D, 1)``
    with D passes so far. FDR ≤ alpha where the p-values are positively dependent (PRDS), as those
    of candidates read on the same queries are, because a level only rises when earlier p-values
    fall: then ``E[1{p ≤ level} / level] ≤ 1`` for each true null (Blanchard and Roquain 2008,
    lemma 3.2), and there are at least ``max(D, 1)`` passes whenever reading t is one of them. The
    sum is at most ``alpha · Σγ = alpha``. Without any pass the chance of a first false one is at
    most alpha by the union bound, whatever the dependence.

    LORD++ (Ramdas, Yang, Wainwright and Jordan 2017, NeurIPS, theorem 1) with half of alpha to
    begin with; FDR ≤ alpha where p-values of true nulls are independent of all others: for fresh
    Gold splits only.

    Raises ``ValueError`` for an alpha outside (0, 1).
    """
    open_unit("alpha", alpha)
    index = len(history) + 1
    passed = np.flatnonzero(np.asarray(history, dtype=bool)) + 1
    count = int(passed.size)
    if kind is Kind.LOND:
        earned = alpha * max(count, 1)
        return Level(kind, index, earned * gamma(index), count, earned * _after(index))
    began = alpha / 2
    value, left = began * gamma(index), began * _after(index)
    for number, at in enumerate(passed.tolist()):
        earned = alpha - began if number == 0 else alpha
        value += earned * gamma(index - at)
        left += earned * _after(index - at)
    return Level(kind, index, value, count, left)


def gamma(index: int) -> float:
    """The share of reading ``index`` (1-based) in the error level; all shares sum to 1."""
    if index < 1:
        raise ValueError(f"reading {index} is not counted from 1")
    return float(index**-DECAY) / _total()


@lru_cache(maxsize=1)
def _total() -> float:
    from scipy.special import zeta

    return float(zeta(DECAY))


def _after(index: int) -> float:
    """The shares of all readings after ``index`` together: the tail of the zeta function."""
    from scipy.special import zeta

    return float(zeta(DECAY, index + 1)) / _total()

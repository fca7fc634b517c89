"""How alike two ranked lists are, where nobody says which of them is better."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

PERSISTENCE = 0.9
"""A reader goes on to the next rank nine times in ten: the first ten ranks carry 86% of the weight
(Webber et al. 2010, section 4.3)."""


def overlap_at(first: Sequence[Hashable], second: Sequence[Hashable], depth: int = 10) -> float:
    """The share of the first ``depth`` items that both lists have, in [0, 1], in any order.

    Lists that are both shorter count by the longer one; two empty ones are alike. ``ValueError``
    for a depth below 1.
    """
    if depth < 1:
        raise ValueError(f"an overlap at depth {depth}")
    one, other = set(first[:depth]), set(second[:depth])
    longest = max(len(one), len(other))
    return len(one & other) / longest if longest else 1.0


def rank_biased_overlap(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    persistence: float = PERSISTENCE,
) -> float:
    """Rank-biased overlap, extrapolated beyond what is listed, in [0, 1]; 1 for equal lists.

    The agreement at each depth, weighted by the chance that a reader gets there (Webber, Moffat
    and Zobel 2010, "A Similarity Measure for Indefinite Rankings", ACM TOIS 28(4), equation 32,
    for lists of two lengths). Two empty lists are alike, an empty one and another have nothing in
    common. ``ValueError`` for a list that holds an item twice and a persistence outside (0, 1).
    """
    if not 0.0 < persistence < 1.0:
        raise ValueError(f"persistence {persistence} lies outside (0, 1)")
    if len(set(first)) != len(first) or len(set(second)) != len(second):
        raise ValueError("a list holds an item twice")
    short, long = sorted((first, second), key=len)
    if not short:
        return 1.0 if not long else 0.0
    s, top = len(short), len(long)
    seen_short: set[Hashable] = set()
    seen_long: set[Hashable] = set()
    common = [0]
    total = 0.0
    for depth in range(1, top + 1):
        seen_long.add(long[depth - 1])
        if depth <= s:
            seen_short.add(short[depth - 1])
        common.append(len(seen_short & seen_long))
        total += common[depth] / depth * persistence**depth
    for depth in range(s + 1, top + 1):
        total += common[s] * (depth - s) / (s * depth) * persistence**depth
    rest = ((common[top] - common[s]) / top + common[s] / s) * persistence**top
    return (1.0 - persistence) / persistence * total + rest

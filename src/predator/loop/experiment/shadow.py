"""A candidate in the shadow: recorded queries answered by both releases, seen by nobody.

For contours without users, and before anybody is given a candidate. Without clicks nobody can say
that it is better: a replay blocks a candidate that is slow, fails or finds nothing; it never
promotes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from predator.domain.verdicts import Screening

MOST_FAILED = 0.01
"""A candidate that fails to answer more than one query in a hundred is broken."""
FEWEST = 30
"""Queries below which nothing is said: a p95 of fewer is one or two of them."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One entry a query in each column: whether the release failed, how many hits it had, ms.

    ``overlap`` (at 10) and ``rbo`` compare the two lists, where both releases answered.
    """

    baseline_failed: Sequence[bool]
    candidate_failed: Sequence[bool]
    baseline_hits: Sequence[int]
    candidate_hits: Sequence[int]
    baseline_ms: Sequence[float]
    candidate_ms: Sequence[float]
    overlap: Sequence[float]
    rbo: Sequence[float]


@dataclass(frozen=True, slots=True)
class ShadowLimits:
    """p95 may be ``latency_delta_rel_max`` above the baseline's, and always
    ``latency_floor_ms``; rates are tested at ``alpha``."""

    latency_delta_rel_max: float
    latency_floor_ms: float
    alpha: float


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What a replay says: NO_GO blocks, GO and UNDECIDED promise nothing.

    Rates are shares of all queries, of both releases; ``overlap`` and ``rbo`` means, ``None``
    where no query was answered by both.
    """

    verdict: Screening
    reason: str
    queries: int
    failed: dict[str, float]
    empty: dict[str, float]
    latency_p95_ms: dict[str, float | None]
    overlap: float | None
    rbo: float | None


def judge_shadow(seen: Replayed, limits: ShadowLimits) -> Shadowed:
    """NO_GO where the candidate is shown to fail more than one query in a hundred, to find
    nothing more often than the baseline on the same queries, or where its p95 is above the limit;
    UNDECIDED below 30 queries; GO otherwise."""
    queries = len(seen.candidate_failed)
    both = {
        "baseline": (seen.baseline_failed, seen.baseline_hits, seen.baseline_ms),
        "candidate": (seen.candidate_failed, seen.candidate_hits, seen.candidate_ms),
    }
    failed = {name: _share(list(one[0])) for name, one in both.items()}
    empty = {
        name: _share([not f and not h for f, h in zip(one[0], one[1], strict=True)])
        for name, one in both.items()
    }
    p95 = {
        name: _p95([ms for f, ms in zip(one[0], one[2], strict=True) if not f])
        for name, one in both.items()
    }
    blocks = _blocks(seen, p95, limits)
    verdict = Screening.NO_GO if blocks else Screening.GO
    reason = "; ".join(blocks) or "nothing speaks against it; whether it is better, users say"
    if not blocks and queries < FEWEST:
        verdict = Screening.UNDECIDED
        reason = f"{queries} queries replayed, at least {FEWEST} needed"
    return Shadowed(
        verdict, reason, queries, failed, empty, p95, _mean(seen.overlap), _mean(seen.rbo)
    )


def _blocks(seen: Replayed, p95: dict[str, float | None], limits: ShadowLimits) -> list[str]:
    from scipy.special import bdtrc

    found = []
    queries, failures = len(seen.candidate_failed), sum(seen.candidate_failed)
    if failures and float(bdtrc(failures - 1, queries, MOST_FAILED)) <= limits.alpha:
        found.append(f"it failed {failures} of {queries} queries")
    pairs = list(
        zip(
            seen.baseline_failed, seen.candidate_failed, seen.baseline_hits, seen.candidate_hits,
            strict=True,
        )
    )  # fmt: skip
    answered = [(b > 0, c > 0) for bf, cf, b, c in pairs if not bf and not cf]
    lost, won = answered.count((True, False)), answered.count((False, True))
    # McNemar's exact test: of the queries that only one of them finds something for.
    if lost > won and float(bdtrc(lost - 1, lost + won, 0.5)) <= limits.alpha:
        found.append(f"it finds nothing for {lost} queries that the baseline answers")
    before, now = p95["baseline"], p95["candidate"]
    if before is not None and now is not None:
        most = max(before * (1 + limits.latency_delta_rel_max), limits.latency_floor_ms)
        if now > most:
            found.append(f"its p95 is {now:.1f} ms, at most {most:.1f} ms")
    return found


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values) if values else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _p95(values: Sequence[float]) -> float | None:
    return sorted(values)[int(0.95 * (len(values) - 1))] if values else None

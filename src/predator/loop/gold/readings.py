"""How far the Gold set can still be trusted: its age against the corpus, and unjudged@10.

Readings, not gates: they say which way a verdict may be wrong, and change none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from predator.domain.documents import Judgments
from predator.domain.gold_set import GoldSet
from predator.domain.readings import Failed, NoData, Reading, Stale, Value

DEPTH = 10
MUCH = 0.1
"""One more hit of ten without a judgment. A hit without one counts as not relevant, so that each
could cost the candidate what it did not lose."""
_Z = 1.96


def staleness(
    gold: GoldSet, seen: Set[str], documents: Set[str], at: float
) -> Mapping[str, Reading]:
    """The age of a sealed set at ``at`` (unix s), by name:

    ``seal_age_s`` and ``judgment_age_s`` (of the newest judgment that has a date),
    ``new_documents`` (share of ``documents``, the corpus of now, that were not ``seen`` by the
    judges) and ``gone_documents`` (share of the judged documents that the corpus of now lacks).
    """
    judged = {document for row in gold.rows for document in row.grades}
    dated = [row.lineage.at for row in gold.rows if row.lineage.at is not None]
    return {
        "seal_age_s": NoData("the set is not sealed")
        if gold.sealed_at is None
        else _exact(at - gold.sealed_at, 1, at),
        "judgment_age_s": _exact(at - max(dated), len(dated), at)
        if dated
        else NoData("no judgment says when it was made"),
        "new_documents": _share(len(documents - seen), len(documents), "no document is there", at),
        "gone_documents": _share(len(judged - documents), len(judged), "no document is judged", at),
    }


def unjudged(
    rankings: Mapping[str, Sequence[str]], judgments: Judgments, at: float
) -> Reading:  # fmt: skip
    """unjudged@10: the mean share of the first ten hits that nobody judged, over the judged
    queries that found something, with its interval between queries."""
    shares = list(_unjudged(rankings, judgments).values())
    if len(shares) < 2:
        return NoData(f"{len(shares)} Gold queries found something")
    mean, half = float(np.mean(shares)), _half(shares)
    return Value(mean, len(shares), max(0.0, mean - half), min(1.0, mean + half), at)


def bias(
    candidate: Mapping[str, Sequence[str]],
    baseline: Mapping[str, Sequence[str]],
    judgments: Judgments,
) -> str:
    """Why the candidate may be better than its score: empty where nothing says so.

    Where its first ten hold at least :data:`MUCH` more without a judgment than the baseline's,
    beyond the noise of the paired queries (one-sided 97.5%).
    """
    left, right = (_unjudged(ranked, judgments) for ranked in (candidate, baseline))
    more = [left[query] - right[query] for query in left if query in right]
    if len(more) < 2:
        return ""
    mean = float(np.mean(more))
    if mean < MUCH or mean - _half(more) <= 0:
        return ""
    return (
        f"unjudged@{DEPTH} is {mean:+.2f} for the candidate: it shows more that nobody judged, "
        "which counts as not relevant, so its true gain may be larger than measured"
    )


def shown(reading: Reading) -> dict[str, Any]:
    """A reading as JSON: a value with its interval, or why there is none; never a zero."""
    if isinstance(reading, Value):
        interval = [reading.ci_low, reading.ci_high]
        return {"value": reading.value, "n": reading.n, "ci": interval, "at": reading.at}
    return {"value": None, "reason": why_none(reading)}


def told(readings: Mapping[str, Reading]) -> str:
    """What :func:`staleness` found of the corpus, in a line, to the percent."""
    parts = []
    for name, what in (
        ("new_documents", "documents that its judges could not see"),
        ("gone_documents", "judged documents that are gone"),
    ):
        reading = readings[name]
        if isinstance(reading, Value):
            parts.append(f"{what}: {reading.value:.0%}")
        else:
            parts.append(f"{what}: unknown ({why_none(reading)})")
    return ", ".join(parts)


def why_none(reading: NoData | Stale | Failed) -> str:
    """Why there is no value."""
    if isinstance(reading, NoData):
        return reading.reason
    return f"{reading.age_s:.0f} s old" if isinstance(reading, Stale) else reading.error


def _unjudged(
    rankings: Mapping[str, Sequence[str]], judgments: Judgments
) -> Mapping[str, float]:  # fmt: skip
    return {
        query: sum(document not in grades for document in first) / len(first)
        for query, grades in judgments.items()
        if (first := rankings.get(query, ())[:DEPTH])
    }


def _share(count: int, n: int, empty: str, at: float) -> Reading:
    """A share that was counted whole: its interval is itself."""
    return _exact(count / n, n, at) if n else NoData(empty)


def _exact(value: float, n: int, at: float) -> Value:
    return Value(value, n, value, value, at)


def _half(values: ArrayLike) -> float:
    found = np.asarray(values, np.float64)
    return _Z * float(found.std(ddof=1)) / math.sqrt(len(found))

"""From what the platform recorded to readings and evidence: arithmetic, no decisions."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from predator.domain.documents import Document, Judgments
from predator.domain.readings import NoData, Reading, Value
from predator.learning.measures import score
from predator.loop.diagnose import JudgedSearch
from predator.loop.labels import Labels
from predator.ports.feedback import Impression
from predator.search.analyze import terms
from predator.search.engine import Engine

_WORD = re.compile(r"[^\W\d_]{3,}")

LEAST_SEARCHES = 20
"""Fewer judged searches than this in a window say nothing."""


def judged_ndcg(impressions: Sequence[Impression], labels: Labels, at: float) -> Reading:
    """NDCG@10 of the judged searches among ``impressions``, as they were answered."""
    values = ndcg_by_impression(impressions, labels)
    if len(values) < LEAST_SEARCHES:
        return NoData(f"{len(values)} judged searches in the window")
    scores = np.asarray(list(values.values()))
    mean, half = float(scores.mean()), 1.96 * float(scores.std(ddof=1)) / math.sqrt(len(scores))
    return Value(mean, len(scores), mean - half, mean + half, at)


def ndcg_by_impression(impressions: Sequence[Impression], labels: Labels) -> dict[str, float]:
    """NDCG@10 by ``query_id`` for the searches whose query may be scored."""
    judgments: dict[str, Mapping[str, int]] = {}
    rankings: dict[str, Sequence[str]] = {}
    for impression in impressions:
        known = labels.monitored.get(impression.query)
        if known is not None:
            judgments[impression.query_id] = labels.judgments[known]
            rankings[impression.query_id] = impression.hits
    scores = score(judgments, rankings)
    return dict(zip(scores.queries, scores.ndcg.tolist(), strict=True))


def p95_latency_ms(impressions: Sequence[Impression]) -> float:
    """The 95th percentile of the server's latency, 0 where nothing was served."""
    latencies = sorted(impression.latency_ms for impression in impressions)
    return latencies[int(0.95 * (len(latencies) - 1))] if latencies else 0.0


def judged_searches(
    impressions: Sequence[Impression],
    labels: Labels,
    engine: Engine,
    arrivals: Mapping[str, float],
    baseline_at: float,
    known_terms: frozenset[str],
    most: int = 400,
) -> list[JudgedSearch]:
    """Where each judged search of the window lost its NDCG; the newest ``most`` of them."""
    found = []
    ndcg = ndcg_by_impression(impressions, labels)
    for impression in [i for i in impressions if i.query_id in ndcg][-most:]:
        judgments = labels.judgments[labels.monitored[impression.query]]
        relevant = [document for document, grade in judgments.items() if grade > 0]
        best = max(relevant, key=lambda d: (judgments[d], d), default="")
        row = engine.index.row_of(best)
        loss = 1.0 - ndcg[impression.query_id]
        found.append(
            JudgedSearch(
                engine.index.documents[row].category if row is not None else "unknown",
                loss,
                _stage(impression, relevant, engine, arrivals) if loss > 0 else "none",
                arrivals.get(best, math.inf) >= baseline_at,
                tuple(sorted(set(terms(impression.query)) - known_terms)),
            )
        )
    return found


def _stage(
    impression: Impression,
    relevant: Sequence[str],
    engine: Engine,
    arrivals: Mapping[str, float],
) -> str:
    if all(arrivals.get(document, math.inf) > impression.at for document in relevant):
        return "unindexed"
    _, candidates = engine.candidates(impression.query)
    rows = set(candidates.rows.tolist())
    if any(engine.index.row_of(document) in rows for document in relevant):
        return "ranking"
    return "recall"


def term_counts(texts: Iterable[str]) -> dict[str, int]:
    """How often each term stands in ``texts``."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(terms(text))
    return dict(counts)


def document_frequency(documents: Sequence[Document]) -> dict[str, int]:
    """In how many documents each term stands."""
    counts: Counter[str] = Counter()
    for document in documents:
        counts.update(set(terms(f"{document.title} {document.text}")))
    return dict(counts)


def new_terms(before: Mapping[str, int], now: Mapping[str, int], most: int = 20) -> list[str]:
    """Terms that documents hold now and did not before, the most frequent first."""
    fresh = {
        term: count
        for term, count in now.items()
        if term not in before and count > 1 and term.isalpha() and len(term) > 2
    }
    return sorted(fresh, key=lambda term: (-fresh[term], term))[:most]


def surface_words(texts: Iterable[str]) -> dict[str, str]:
    """The commonest way in which ``texts`` write each term (``classifi`` → ``classifier``)."""
    written: dict[str, Counter[str]] = {}
    for text in texts:
        for word in set(_WORD.findall(text.lower())):
            found = terms(word)
            if len(found) == 1:
                written.setdefault(found[0], Counter())[word] += 1
    return {term: counts.most_common(1)[0][0] for term, counts in written.items()}


def judgments_for(queries: Sequence[str], judgments: Judgments) -> dict[str, Mapping[str, int]]:
    """The judgments of some queries."""
    return {query: judgments[query] for query in queries}


def served_last(impressions: Sequence[Impression], release: str) -> float | None:
    """When the last of ``impressions`` that ``release`` answered was served; ``None`` for none."""
    return max((one.at for one in impressions if one.release == release), default=None)

"""All that the diagnosis looks at, gathered from the platform's records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from predator.domain.documents import Document
from predator.domain.errors import PredatorError
from predator.loop import diagnose
from predator.loop.labels import Labels
from predator.loop.observe import (
    document_frequency,
    judged_searches,
    new_terms,
    p95_latency_ms,
    surface_words,
    term_counts,
)
from predator.loop.stations import Situation
from predator.ports.feedback import Feedback
from predator.search.engine import Engine
from predator.statistics.divergence import shift

SHIFT_ROUNDS = 30


def gather(
    feedback: Feedback,
    situation: Situation,
    labels: Labels,
    documents: Sequence[Document],
    arrivals: Mapping[str, float],
    engine: Engine,
    seed: int,
) -> diagnose.Evidence:
    """The evidence about a situation; ``engine`` is the live release over ``documents``."""
    window = feedback.impressions(situation.since, situation.until)
    healthy = feedback.impressions(situation.baseline_since, situation.baseline_until)
    # A document that came between the two looks of the snapshot is new.
    old = [d for d in documents if arrivals.get(d.id, math.inf) < situation.baseline_until]
    rng = np.random.default_rng(seed)
    asked_before = term_counts(i.query for i in healthy)
    asked_now = term_counts(i.query for i in window)
    if not asked_now or not asked_before:
        raise PredatorError(
            f"nobody searched {'in the window' if asked_before else 'while search was healthy'}: "
            "there is nothing to diagnose",
            cure="Ask for a cycle when there is traffic",
        )
    if not documents or not old:
        raise PredatorError("there were no documents to compare with: nothing can be diagnosed")
    terms_before, terms_now = document_frequency(old), document_frequency(documents)
    known = sum(count for term, count in asked_now.items() if term in asked_before)
    searches = judged_searches(
        window, labels, engine, arrivals, situation.baseline_until, frozenset(asked_before)
    )
    return diagnose.Evidence(
        situation.signal,
        1.0 - situation.baseline.value,
        searches,
        shift(terms_before, terms_now, rng, SHIFT_ROUNDS),
        shift(asked_before, asked_now, rng, SHIFT_ROUNDS),
        new_terms(terms_before, terms_now),
        round(known / max(1, sum(asked_now.values())), 4),
        _categories(old),
        _categories(documents),
        feedback.log_counts(situation.since, situation.until),
        feedback.backlog_s(situation.until),
        p95_latency_ms(window),
        _contributions(engine, [i.query for i in window][-50:]),
        surface_words([*(i.query for i in window), *(d.text[:500] for d in documents)]),
    )


def _categories(documents: Sequence[Document]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for document in documents:
        counts[document.category] = counts.get(document.category, 0) + 1
    return counts


def _contributions(engine: Engine, queries: Sequence[str]) -> dict[str, float]:
    """Mean absolute TreeSHAP value of each feature over recent queries; empty without a model."""
    shares = engine.explain(list(queries))
    return {name: round(value, 4) for name, value in shares.items()}

"""Tuning the encoder on some queries: lessons, the job, the anchors, and the tuned encoder kept.

The tuned encoder has learnt from its queries, so their cosines say too much; what is trained on
top of it (fusion, trees) must learn from queries that it has not seen. :func:`deal` parts them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning.anchors import AnchorSet, halves
from predator.learning.bi_encoder import BiEncoder, Plan
from predator.learning.examples import Example
from predator.learning.lessons import Lessons, fused_teacher, make_lessons
from predator.learning.splits import split_by_cluster
from predator.search.index import Index

TUNING_SHARE, DEV_SHARE = 0.6, 0.1
"""Of the queries: what the encoder learns from, and what says when it has learnt enough. The rest
is for what is trained on top of it."""
LEAST_QUERIES = 100
"""Of fewer, a part would be left with less than thirty."""

Tune = Callable[[Lessons, Sequence[AnchorSet], Plan], BiEncoder]
"""Runs the job; raises ``InputError`` where tuning is not possible here, and says why."""


@dataclass(frozen=True, slots=True)
class Dealt:
    """The examples by what they are for; ``rest`` are their places for the next training."""

    tuning: Sequence[Example]
    dev: Sequence[Example]
    rest: NDArray[np.int64]


def deal(examples: Sequence[Example], clusters: NDArray[np.int64], seed: int) -> Dealt:
    """Part the examples by query cluster; ``InputError`` where they are too few to be parted."""
    if len(examples) < LEAST_QUERIES:
        raise InputError(f"{len(examples)} queries are too few to tune an encoder")
    shares = [TUNING_SHARE, DEV_SHARE, 1 - TUNING_SHARE - DEV_SHARE]
    part = split_by_cluster(clusters, shares, np.random.default_rng(seed))
    return Dealt(
        [e for e, p in zip(examples, part, strict=True) if p == 0],
        [e for e, p in zip(examples, part, strict=True) if p == 1],
        np.flatnonzero(part == 2),
    )


def tune_encoder(
    index: Index,
    documents: Sequence[Document],
    dealt: Dealt,
    live: RetrievalParameters,
    tune: Tune,
    *,
    seed: int,
    threads: int,
    budget_s: float,
) -> tuple[BiEncoder, dict[str, Any]]:
    """The tuned encoder and what is to be told of it.

    The teacher is the live fused score: it leaves out candidates that may be answers themselves.
    Margins distilled from it (GPL's loss) taught less, from judgments and from generated queries:
    see decision 25. Raises ``InputError`` where there is nothing to learn,
    where the original is better than any share of the tuned weights, or where the tuned one does
    worse on the anchors.
    """
    lessons = make_lessons(
        index, dealt.tuning, dealt.dev, live, fused_teacher(live), seed, filtered=True
    )
    plan = Plan(loss="info_nce", seed=seed, threads=threads, budget_s=max(budget_s, 1.0))
    tuned = tune(lessons, [halves(documents, seed)], plan)
    told = {
        "teacher": lessons.teacher,
        "lessons": len(lessons.train),
        "mix": tuned.report["mix"],
        "anchors": tuned.report["anchors"]["verdict"],
    }
    if tuned.is_original:
        raise InputError("no share of the tuned weights did better on held-out questions")
    if told["anchors"] != "PASS":
        (reason, *_) = [
            group["reason"]
            for group in tuned.report["anchors"]["groups"]
            if group["verdict"] == told["anchors"]
        ] or ["nothing was shown"]
        raise InputError(f"the anchors say {told['anchors']}: {reason}")
    return tuned, told

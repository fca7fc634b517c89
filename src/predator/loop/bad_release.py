"""A deliberately bad release for the drill: a mistake that happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from predator.domain.documents import Query
from predator.domain.release import Release
from predator.learning import lambdamart
from predator.learning.examples import collect
from predator.loop.replica import Replica, keep_release
from predator.search.rerank import dump_reranker

LESSONS = 60


def bad_release(replica: Replica, live: Release, queries: Sequence[Query], seed: int) -> Release:
    """The live release with a reranker trained on inverted labels."""
    examples = collect(replica.index, replica.encoder, queries, {query.id: {} for query in queries})
    inverted = []
    for one in lambdamart.prepare(replica.index, examples, live.retrieval):
        worst = np.arange(len(one.grades)) >= 0.8 * len(one.grades)
        inverted.append(replace(one, grades=worst.astype(np.int64)))
    model = lambdamart.train(inverted, trees=20, seed=seed, base_weight=0.0)
    reranker = replica.objects.put(dump_reranker(model.text, model.base_weight))
    release = replace(live, reranker=reranker)
    keep_release(replica.objects, release)
    return release

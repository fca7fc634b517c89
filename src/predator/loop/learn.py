"""All that one set of queries can teach: releases to choose from, each scored out of fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from predator.domain.documents import Judgments, Query
from predator.domain.errors import InputError
from predator.domain.release import Release
from predator.learning.bi_encoder import BiEncoder
from predator.learning.examples import Example, collect
from predator.learning.splits import query_clusters
from predator.loop.encoder_tuning import Tune, deal, tune_encoder
from predator.loop.replica import Replica, keep_release
from predator.loop.train import Budget, Portfolio, Trained, train_portfolio
from predator.ports.progress import Progress


@dataclass(frozen=True, slots=True)
class Candidate:
    """A release that could be submitted. ``ndcg`` is its mean NDCG@10 out of fold, on the queries
    that all candidates of one learning can be compared on."""

    name: str
    release: Release
    ndcg: float
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Learnt:
    """Candidates, best first, and why others were left out, by name."""

    candidates: Sequence[Candidate]
    left_out: Mapping[str, str]

    @property
    def best(self) -> Candidate:
        return self.candidates[0]


@dataclass(frozen=True, slots=True)
class Learner:
    """What learning runs over and how.

    ``judged`` says that judgments are learnt from, and not known-item queries. ``tune`` tunes the
    encoder and ``export`` keeps the result, giving its digest; without them the encoder stays.
    """

    replica: Replica
    seed: int
    threads: int
    budget: Budget
    progress: Progress
    judged: bool = True
    tune: Tune | None = None
    export: Callable[[BiEncoder], str] | None = None
    clock: Callable[[], float] = time.monotonic

    def learn(self, live: Release, queries: Sequence[Query], judgments: Judgments) -> Learnt:
        """Train everything that the budget allows on ``queries``, from the release ``live``."""
        if not queries:
            raise InputError(
                "no query is left to learn from",
                cure="bring more different questions with judgments",
            )
        began = self.clock()
        index, encoder = self.replica.seen_by(live.encoder)
        examples = collect(index, encoder, queries, judgments, progress=self._collecting)
        vectors = np.stack([encoder.encode_query(query.text) for query in queries])
        clusters = query_clusters(vectors, self.seed)
        portfolio = self._portfolio(live, examples, judgments, clusters, self.budget)
        left_out = dict(portfolio.left_out)
        found = [self._candidate(live, one) for one in portfolio.candidates]
        if self.tune is None or self.export is None:
            left_out["bi_encoder"] = "tuning the encoder is off"
            return Learnt(found, left_out)
        try:
            dealt = deal(examples, clusters, self.seed)
            left_s = self.budget.left(self.clock() - began, self.threads)
            if left_s < _LEAST_TUNING_S:
                raise InputError(f"the budget leaves {max(left_s, 0.0):.0f} s")
            tuned, told = tune_encoder(
                index,
                index.documents,
                dealt,
                portfolio.candidates[0].retrieval,
                self.tune,
                judged=self.judged,
                seed=self.seed,
                threads=self.threads,
                budget_s=left_s * _TUNING_SHARE,
            )
            moved = replace(live, encoder=self.export(tuned))
            rest = [queries[i] for i in dealt.rest.tolist()]
            seen, other = self.replica.seen_by(moved.encoder)
            again = collect(seen, other, rest, judgments, progress=self._collecting)
            left = replace(
                self.budget, seconds=max(0.0, self.budget.left(self.clock() - began, self.threads))
            )
            second = self._portfolio(moved, again, judgments, clusters[dealt.rest], left)
        except InputError as error:
            left_out["bi_encoder"] = error.cause
            return Learnt(found, left_out)
        # On the same queries: otherwise the one and the other could not be compared.
        names = [query.id for query in rest]
        found = [
            self._candidate(live, one, ndcg=one.scores.pick(names).mean())
            for one in portfolio.candidates
        ]
        found += [
            self._candidate(moved, one, prefix="bi_encoder+", more=told)
            for one in second.candidates
        ]
        return Learnt(sorted(found, key=lambda one: -one.ndcg), left_out)

    def _portfolio(
        self,
        live: Release,
        examples: Sequence[Example],
        judgments: Judgments,
        clusters: np.ndarray[tuple[int], np.dtype[np.int64]],
        budget: Budget,
    ) -> Portfolio:
        index, _ = self.replica.seen_by(live.encoder)
        return train_portfolio(
            index,
            examples,
            judgments,
            clusters,
            self.seed,
            base=live.retrieval,
            threads=self.threads,
            budget=budget,
            report=self.progress.work,
            clock=self.clock,
            rerankers=self.judged,
        )

    def _candidate(
        self,
        live: Release,
        trained: Trained,
        *,
        prefix: str = "",
        ndcg: float | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> Candidate:
        objects = self.replica.objects
        release = replace(
            live,
            retrieval=trained.retrieval,
            reranker=None if trained.reranker is None else objects.put(trained.reranker),
        )
        keep_release(objects, release)
        mean = trained.scores.mean() if ndcg is None else ndcg
        return Candidate(prefix + trained.name, release, mean, {**trained.details, **(more or {})})

    def _collecting(self, done: int, total: int) -> None:
        self.progress.work("candidates and features", done, total)


_LEAST_TUNING_S = 30.0
"""Under this not even the smallest tuning ends: loading torch alone takes some ten seconds."""
_TUNING_SHARE = 0.6
"""Of what is left: new vectors and what is trained on them get the rest."""

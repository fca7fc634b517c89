"""All that one set of queries can teach: candidates to choose from, each scored out of fold."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Judgments, Query
from predator.domain.errors import InputError, PredatorError
from predator.domain.release import RetrievalParameters
from predator.learning import cross_encoder
from predator.learning.bi_encoder import BiEncoder
from predator.learning.cross_encoder import Plan
from predator.learning.examples import Example, collect
from predator.learning.splits import query_clusters
from predator.learning.stacking import Lessons, Stacked, make_lessons
from predator.learning.trainable import TrainingSet
from predator.loop.train import Budget, Portfolio, Trained, train_portfolio
from predator.loop.training.affordable import readable_depth
from predator.loop.training.encoder_tuning import Tune, deal, tune_encoder
from predator.loop.training.text_rankers import NAME, SHALLOW, Serving, text_rankers
from predator.search.engine import QueryEncoder
from predator.search.index import Index
from predator.search.serving.ingest import embedding_text

TUNED = "bi_encoder"
TUNING_SHARE = 0.4
"""Of the whole budget, for either training with torch. A share of what is left would differ with
the machine's mood, and a training that was cut off could not be found again."""
LEAST_TUNING_S = 30.0
"""Under this not even the smallest training ends: loading torch alone takes some ten seconds."""
LEAST_DEPTH = 2
"""Candidates of which an order can be made."""
PACED = 16
"""Documents that say how long new vectors of all will take."""

_FAILURES = (PredatorError, OSError, MemoryError)
"""What a training with torch may end in, without taking what is trained already with it."""

Report = Callable[[str, int, int], None]
Read = Callable[[Lessons, Plan], Stacked]
"""Trains a cross-encoder; raises ``InputError`` where that is not possible here."""


class Spaces(Protocol):
    """An index with the vectors of more than one encoder
    (:class:`~predator.loop.replica.Replica`)."""

    def seen_by(self, digest: str) -> tuple[Index, QueryEncoder]:
        """The index with the vectors of encoder ``digest``, and that encoder."""
        ...


@dataclass(frozen=True, slots=True)
class Learnt:
    """Candidates, best first by their scores out of fold, all on the same queries, and why others
    were left out, by name."""

    candidates: Sequence[Trained]
    left_out: Mapping[str, str]

    @property
    def best(self) -> Trained:
        return self.candidates[0]


@dataclass(frozen=True, slots=True)
class Learner:
    """What learning runs over and how.

    ``judged`` says that judgments are learnt from, and not known-item queries. ``tune`` tunes the
    encoder and ``export`` makes the result known to ``spaces``, giving its digest; without them
    the encoder stays. ``pace`` says how many seconds encoding some texts takes, where the live
    reader of ``spaces`` knows only queries. ``tuned_on`` are the ids of the queries that tuned
    encoders have learnt from, by digest: on such an encoder nothing else is learnt from those.
    ``read`` trains a cross-encoder, whose files go into a store by ``put``; ``room_ms`` is how much
    longer than now a search may take (``None``: nobody knows), and decides how many candidates it
    reads.
    """

    spaces: Spaces
    seed: int
    threads: int
    budget: Budget
    report: Report
    judged: bool = True
    tune: Tune | None = None
    export: Callable[[BiEncoder], str] | None = None
    read: Read | None = None
    put: Callable[[bytes], str] | None = None
    room_ms: float | None = None
    pace: Callable[[Sequence[str]], float] | None = None
    tuned_on: MutableMapping[str, frozenset[str]] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic

    def learn(
        self,
        encoder: str,
        live: RetrievalParameters,
        queries: Sequence[Query],
        judgments: Judgments,
        generated: Sequence[Example] = (),
        masked: Index | None = None,
    ) -> Learnt:
        """Train everything that the budget allows on ``queries``.

        The live release has the encoder with that digest and retrieves as ``live`` says.
        ``generated`` examples were found in ``masked`` (in the same index without it).
        ``InputError`` where there is too little to learn from.
        """
        known = self.tuned_on.get(encoder, frozenset())
        queries = [query for query in queries if query.id not in known]
        if not queries:
            raise InputError(
                "no query is left to learn from",
                cure="bring more different questions with judgments",
            )
        began = self.clock()
        index, reader = self.spaces.seen_by(encoder)
        examples = collect(index, reader, queries, judgments, progress=self._collecting)
        vectors = np.stack([reader.encode_query(query.text) for query in queries])
        clusters = query_clusters(vectors, self.seed)
        left_s = self.budget.left(self.clock() - began, self.threads)
        rest_of = replace(self.budget, seconds=max(0.0, left_s), usd=None)
        first = self._portfolio(
            index, examples, judgments, clusters, live, rest_of, generated, masked
        )
        left_out = dict(first.left_out)
        candidates = [replace(one, encoder=encoder) for one in first.candidates]
        if self.read is None or self.put is None or not self.judged:
            left_out[NAME] = (
                "reading texts is off (cross_encoder)" if self.judged else "there are no judgments"
            )
        else:
            data = TrainingSet(
                index, examples, judgments, clusters, self.seed, self.threads, generated,
                retrieval=first.best.retrieval, masked=masked,
            )  # fmt: skip
            try:
                read = self._read(data, self.read, self.put, began, left_out)
                candidates += [replace(one, encoder=encoder) for one in read]
            except _FAILURES as error:
                left_out[NAME] = _why(error)
        candidates.sort(key=lambda one: -one.scores.mean())
        if self.tune is None or self.export is None:
            left_out[TUNED] = "tuning the encoder is off (tune_encoder)"
            return Learnt(candidates, left_out)
        try:
            dealt = deal(examples, clusters, self.seed)
            share_s = self._share(began)
            self._check_pace(index, reader, began, share_s)
            tuned, told = tune_encoder(
                index,
                index.documents,
                dealt,
                first.best.retrieval,
                self.tune,
                seed=self.seed,
                threads=self.threads,
                budget_s=share_s,
            )
            digest = self.export(tuned)
            learnt_from = (*dealt.tuning, *dealt.dev)
            self.tuned_on[digest] = known | {example.query.id for example in learnt_from}
            rest = [queries[i] for i in dealt.rest.tolist()]
            other, tuned_reader = self.spaces.seen_by(digest)
            again = collect(other, tuned_reader, rest, judgments, progress=self._collecting)
            left_s = self.budget.left(self.clock() - began, self.threads)
            second = self._portfolio(
                other, again, judgments, clusters[dealt.rest], live,
                replace(self.budget, seconds=max(0.0, left_s), usd=None),
            )  # fmt: skip
        except _FAILURES as error:
            left_out[TUNED] = _why(error)
            return Learnt(candidates, left_out)
        left_out |= {f"{TUNED}+{name}": why for name, why in second.left_out.items()}
        candidates += [
            replace(
                one,
                name=f"{TUNED}+{one.name}",
                encoder=digest,
                details={**one.details, "mix": float(told["mix"])},
            )
            for one in second.candidates
        ]
        # On the same queries: otherwise the one and the other could not be compared.
        names = [query.id for query in rest]
        compared = [replace(one, scores=one.scores.pick(names)) for one in candidates]
        return Learnt(sorted(compared, key=lambda one: -one.scores.mean()), left_out)

    def _read(
        self,
        data: TrainingSet,
        read: Read,
        put: Callable[[bytes], str],
        began: float,
        left_out: dict[str, str],
    ) -> list[Trained]:
        """What reads texts at the full depth, and where there is no time for that at serving,
        also at the depth that there is time for."""
        serving = Serving()
        share_s = self._share(began)
        lessons = make_lessons(
            data.index, data.examples, data.clusters, data.retrieval,
            seed=self.seed, depth=serving.depth, generated=data.generated, masked=data.masked,
        )  # fmt: skip
        stacked = read(lessons, Plan(seed=self.seed, threads=self.threads, budget_s=share_s))
        found = text_rankers(data, stacked, put, serving, report=self.report)
        if NAME not in {one.name for one in found}:
            left_out[NAME] = "no share of it in a blend did better than none"
        if self.room_ms is None:
            return found
        asked = [
            (one.query, [lessons.texts[text] for text in one.candidates])
            for one in lessons.questions
            if one.group >= 0
        ]
        depth = readable_depth(cross_encoder.load(stacked.files).encoder, asked, self.room_ms)
        if depth >= min(serving.depth, max((len(texts) for _, texts in asked), default=0)):
            return found
        if depth < LEAST_DEPTH:
            left_out[SHALLOW] = (
                f"the latency gate leaves {self.room_ms:.0f} ms, not enough to read {LEAST_DEPTH} "
                "candidates"
            )
            return found
        shallow = replace(serving, depth=depth)
        return [
            *found,
            *text_rankers(data, stacked, put, shallow, name=SHALLOW, report=self.report),
        ]

    def _share(self, began: float) -> float:
        """Seconds for a training with torch; ``InputError`` where the budget leaves fewer."""
        share_s = self.budget.left(0.0, self.threads) * TUNING_SHARE
        left_s = self.budget.left(self.clock() - began, self.threads)
        if left_s < max(share_s, LEAST_TUNING_S):
            raise InputError(
                f"it needs {share_s:.0f} s, the budget leaves {max(left_s, 0.0):.0f} s"
            )
        return share_s

    def _check_pace(self, index: Index, reader: QueryEncoder, began: float, share_s: float) -> None:
        """``InputError`` where new vectors of all documents would not fit into the budget too."""
        some = [embedding_text(document) for document in index.documents[:PACED]]
        begun = self.clock()
        if self.pace is None:
            for text in some:
                reader.encode_query(text)
        took_s = self.clock() - begun if self.pace is None else self.pace(some)
        needed_s = took_s / max(len(some), 1) * len(index)
        left_s = self.budget.left(self.clock() - began, self.threads) - share_s
        if needed_s > left_s:
            raise InputError(
                f"new vectors of {len(index)} documents would take {needed_s:.0f} s, the budget "
                f"leaves {max(left_s, 0.0):.0f} s"
            )

    def _portfolio(
        self,
        index: Index,
        examples: Sequence[Example],
        judgments: Judgments,
        clusters: NDArray[np.int64],
        live: RetrievalParameters,
        budget: Budget,
        generated: Sequence[Example] = (),
        masked: Index | None = None,
    ) -> Portfolio:
        return train_portfolio(
            index,
            examples,
            judgments,
            clusters,
            self.seed,
            generated=generated,
            base=live,
            threads=self.threads,
            budget=budget,
            report=self.report,
            clock=self.clock,
            rerankers=self.judged,
            masked=masked,
        )

    def _collecting(self, done: int, total: int) -> None:
        self.report("candidates and features", done, total)


def _why(error: Exception) -> str:
    return error.cause if isinstance(error, PredatorError) else f"{type(error).__name__}: {error}"

"""Trainable: the cross-encoder alone, in the shape that all trainables have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from predator.learning import cross_encoder
from predator.learning.cross_encoder import Model, Plan
from predator.learning.examples import Example
from predator.learning.stacking import make_lessons, split_pairs
from predator.learning.trainable import Contributions, Ranked, Report, TrainingSet
from predator.search.cross_encoder import passage
from predator.search.encoder.source import Source

DEPTH = 30
"""Candidates that are read: at about 6 ms for 128 tokens on one thread, a fifth of a second."""


@dataclass(frozen=True, slots=True)
class CrossEncoderRanker:
    """Learns from ``base`` as ``plan`` says, to order the first ``depth`` candidates."""

    base: Source
    plan: Plan
    depth: int = DEPTH

    @property
    def name(self) -> str:
        return "cross_encoder"

    def train(self, data: TrainingSet, report: Report) -> Model:
        """The model of all examples, without out-of-fold scores; needs torch."""
        lessons = make_lessons(
            data.index, data.examples, data.clusters, data.retrieval,
            seed=data.seed, depth=self.depth, generated=data.generated,
        )  # fmt: skip
        pairs = split_pairs(lessons, np.full(len(lessons.questions), True), data.seed)
        tuned = cross_encoder.train(self.base, pairs, self.plan, report=report)
        return self.load(cross_encoder.export(tuned))

    def save(self, model: Model) -> Mapping[str, bytes]:
        """The files that :func:`~predator.search.cross_encoder.keep_cross_encoder` takes, and a
        report."""
        return model.files

    def load(self, files: Mapping[str, bytes]) -> Model:
        """The inverse of :meth:`save`."""
        return cross_encoder.load(files, threads=self.plan.threads)

    def score(self, model: Model, data: TrainingSet, example: Example) -> Ranked:
        """The first ``depth`` candidates with their logits."""
        rows = example.refused(data.retrieval).take(self.depth).rows
        texts = [passage(data.index.documents[row]) for row in rows.tolist()]
        return Ranked(rows, model.encoder.score(example.query.text, texts))

    def explain(self, model: Model, data: TrainingSet, example: Example) -> Contributions:
        """What each word of the query adds to the logit of each candidate, by occlusion."""
        rows = example.refused(data.retrieval).take(self.depth).rows
        found = [
            [
                one
                for one in model.encoder.explain(
                    example.query.text, passage(data.index.documents[row])
                )
                if one.part == "query"
            ]
            for row in rows.tolist()
        ]
        names = [one.text for one in found[0]] if found else []
        values = np.asarray([[one.share for one in words] for words in found], float)
        return Contributions(rows, names, values.reshape(len(rows), len(names)))

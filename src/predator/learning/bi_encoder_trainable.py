"""The bi-encoder in the shape of all trainables: from judged candidates to a tuned encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.learning import bi_encoder
from predator.learning.bi_encoder import BiEncoder, Plan
from predator.learning.examples import Example
from predator.learning.lessons import Teacher, fused_teacher, make_lessons
from predator.learning.occlusion import MOST_WORDS, words_of
from predator.learning.splits import split_by_cluster
from predator.learning.trainable import Contributions, Ranked, Report, TrainingSet
from predator.ports.encoder import Encoder
from predator.search.serving.spaces import embedding_text

HELD_OUT = 0.2
"""Share of the queries, by cluster, that stop the training and choose the mix."""


@dataclass(frozen=True)
class BiEncoderTrainable:
    """Tunes the encoder ``model`` (flat names) by ``plan``.

    ``cache`` keeps exported encoders, which serve with ``max_tokens``. ``teacher`` says which
    candidates are wrong and by how much, the live fused score where none is given. ``generated``
    learns from generated queries alone, in ``masked`` documents (see
    :func:`~predator.learning.lessons.make_lessons`). ``checkpoints`` as for
    :func:`predator.learning.bi_encoder.train`.
    """

    model: Mapping[str, bytes]
    plan: Plan
    cache: Path
    max_tokens: int
    teacher: Teacher | None = None
    generated: bool = False
    masked: Mapping[str, Document] | None = None
    checkpoints: Path | None = None
    _opened: dict[int, tuple[BiEncoder, _Vectors]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def name(self) -> str:
        return f"{bi_encoder.name}+generated" if self.generated else bi_encoder.name

    def train(self, data: TrainingSet, report: Report) -> BiEncoder:
        """Learns from a part of the queries, by cluster; generated ones are told apart by source,
        so that no text answers on both sides."""
        examples, clusters = data.examples, data.clusters
        if self.generated:
            examples = data.generated
            sources = [min(example.grade_of, default=-1) for example in examples]
            clusters = np.asarray(sources, np.int64)
        rng = np.random.default_rng(data.seed)
        part = split_by_cluster(clusters, [1 - HELD_OUT, HELD_OUT], rng)
        lessons = make_lessons(
            data.index,
            [example for example, p in zip(examples, part, strict=True) if p == 0],
            [example for example, p in zip(examples, part, strict=True) if p == 1],
            data.base,
            self.teacher or fused_teacher(data.base),
            data.seed,
            filtered=self.plan.loss == "info_nce",
            masked=self.masked,
        )
        plan = replace(self.plan, seed=data.seed, threads=data.threads)
        return bi_encoder.train(
            self.model, lessons, plan, report=report, checkpoints=self.checkpoints
        )

    def save(self, model: BiEncoder) -> dict[str, bytes]:
        return bi_encoder.save(model)

    def load(self, files: Mapping[str, bytes]) -> BiEncoder:
        return bi_encoder.load(files)

    def score(self, model: BiEncoder, data: TrainingSet, example: Example) -> Ranked:
        """The example's candidates, fused anew with the tuned encoder's cosines and ranks.

        What only the tuned encoder would find is not among them; the whole is what a replica with
        all texts encoded anew says.
        """
        found = example.found
        vectors = self._vectors(model)
        cosine = vectors.of(self._texts(data, found.rows)) @ vectors.of([example.query.text])[0]
        ranks = np.empty(len(found.rows), np.int64)
        ranks[np.lexsort((found.rows, -cosine))] = np.arange(1, len(ranks) + 1)
        tuned = replace(found, cosine=cosine.astype(np.float32), dense_rank=ranks)
        parameters = replace(data.retrieval, depth=max(data.retrieval.depth, len(ranks)))
        fused = replace(example, found=tuned).refused(parameters)
        return Ranked(fused.rows, fused.fused.astype(np.float64))

    def explain(self, model: BiEncoder, data: TrainingSet, example: Example) -> Contributions:
        """What each word of the query adds to the cosine with each candidate, by occlusion."""
        rows, vectors = example.found.rows, self._vectors(model)
        words, without = words_of(example.query.text, MOST_WORDS)
        asked = vectors.of([example.query.text, *without])
        cosines = vectors.of(self._texts(data, rows)) @ asked.T
        return Contributions(rows, words, (cosines[:, :1] - cosines[:, 1:]).astype(np.float64))

    def _texts(self, data: TrainingSet, rows: NDArray[np.int64]) -> list[str]:
        return [embedding_text(data.index.documents[row]) for row in rows.tolist()]

    def _vectors(self, model: BiEncoder) -> _Vectors:
        key = id(model)
        if key not in self._opened:
            encoder = bi_encoder.open_encoder(
                model, self.cache, max_tokens=self.max_tokens, threads=self.plan.threads
            )
            self._opened.clear()  # one model's vectors at a time
            self._opened[key] = (model, _Vectors(encoder))
        return self._opened[key][1]


@dataclass
class _Vectors:
    """Vectors of texts, each computed once."""

    encoder: Encoder
    known: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def of(self, texts: Sequence[str]) -> NDArray[np.float32]:
        missing = [text for text in dict.fromkeys(texts) if text not in self.known]
        if missing:
            self.known.update(zip(missing, self.encoder.encode(missing), strict=True))
        if not texts:
            return np.zeros((0, self.encoder.dim), np.float32)
        return np.stack([self.known[text] for text in texts])

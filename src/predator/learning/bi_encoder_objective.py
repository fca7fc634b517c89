"""What a bi-encoder is trained for, and the held-out questions that say how well it is done."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.learning.bert import Tokens, embed, embed_all
from predator.learning.bi_encoder import Plan
from predator.learning.lessons import Lesson, Lessons
from predator.search.encoder.graph import BertShape

MARGINS_SAMPLED = 200
"""Lessons from whose margins the teacher's unit is learnt."""

Weights = Mapping[str, Any]


class Objective:
    """The loss of a batch of lessons, given by their places in ``usable``'s numbers."""

    def __init__(
        self, torch: Any, shape: BertShape, tokens: Tokens, lessons: Lessons, plan: Plan
    ) -> None:
        self._torch, self._shape, self._plan = torch, shape, plan
        self._lessons = lessons
        self._texts = tokens(lessons.texts)
        self._queries = tokens([lesson.query for lesson in lessons.train])
        self._asked = tokens([question.query for question in lessons.dev])
        self._unit = 1.0
        self.usable = [
            number
            for number, lesson in enumerate(lessons.train)
            if lesson.negatives or plan.loss == "info_nce"
        ]

    def begin(self, original: Weights) -> None:
        """Learn the teacher's unit from the weights that training begins with.

        Its margins get the root mean square of the model's own: so no scale has to be known
        beforehand, and the model is told an order, not to change how far apart its vectors lie.
        """
        if self._plan.loss != "margin_mse":
            return
        sample = self.usable[:: max(1, len(self.usable) // MARGINS_SAMPLED)]
        lessons = [self._lessons.train[number] for number in sample]
        queries = self._embedded(original, [self._queries[number] for number in sample])
        pairs = [self._texts[text] for one in lessons for text in (one.positive, one.negatives[0])]
        documents = self._embedded(original, pairs)
        own = self._plan.scale * np.sum(queries * (documents[::2] - documents[1::2]), axis=1)
        size = float(np.sqrt(np.mean([one.margins[0] ** 2 for one in lessons])))
        if size <= 0:
            raise InputError(
                f"the teacher {self._lessons.teacher} tells no candidate from another",
                cure="Choose another teacher",
            )
        self._unit = float(np.sqrt(np.mean(own**2))) / size

    def loss(
        self, weights: Weights, chosen: Sequence[int], rng: np.random.Generator
    ) -> tuple[Any, int]:
        """The loss (a tensor) of the lessons ``chosen``, and how many pairs were looked at."""
        torch, call = self._torch, self._torch.nn.functional
        lessons = [self._lessons.train[number] for number in chosen]
        picks = [
            int(rng.integers(len(one.negatives))) if one.negatives else None for one in lessons
        ]
        drawn = [(one, pick) for one, pick in zip(lessons, picks, strict=True) if pick is not None]
        told = [*(one.positive for one in lessons), *(one.negatives[pick] for one, pick in drawn)]
        ids = [*(self._queries[number] for number in chosen), *(self._texts[i] for i in told)]
        vectors = embed(torch, self._shape, weights, ids).float()
        count = len(chosen)
        queries, documents = vectors[:count], vectors[count:]
        if self._plan.loss == "info_nce":
            logits = self._plan.scale * queries @ documents.T
            right = torch.from_numpy(_right(lessons, told)).to(logits.device)
            target = torch.arange(count, device=logits.device)
            return call.cross_entropy(logits.masked_fill(right, -math.inf), target), len(told)
        got = self._plan.scale * (queries * (documents[:count] - documents[count:])).sum(dim=1)
        margins = [one.margins[pick] * self._unit for one, pick in drawn]
        return call.mse_loss(got, torch.tensor(margins, device=got.device)), len(told)

    def held_out(self, weights: Weights) -> NDArray[np.float64]:
        """NDCG@10 (linear gains, as trec_eval's) of every held-out question over the pool."""
        pool = self._lessons.pool
        queries = self._embedded(weights, self._asked)
        documents = self._embedded(weights, [self._texts[text] for text in pool])
        found = np.zeros(len(queries))
        for row, question in enumerate(self._lessons.dev):
            best = np.argsort(-(documents @ queries[row]), kind="stable")[:10]
            ideal = sorted(question.grades.values(), reverse=True)[:10]
            gained = _dcg([question.grades.get(pool[place], 0) for place in best.tolist()])
            found[row] = gained / _dcg(ideal)
        return found

    def _embedded(self, weights: Weights, ids: Sequence[list[int]]) -> NDArray[np.float32]:
        return embed_all(self._torch, self._shape, weights, ids)


def check(lessons: Lessons, plan: Plan) -> None:
    """``InputError`` for lessons that cannot be learnt from."""
    for number, lesson in enumerate(lessons.train):
        if not lesson.query.strip():
            raise InputError(f"training query {number} is empty", cure="Leave empty queries out")
        if not all(map(math.isfinite, lesson.margins)):
            raise InputError(f"a margin of the training query {lesson.query!r:.60} is no number")
        if len(lesson.margins) != len(lesson.negatives):
            raise InputError(f"margins are missing for the query {lesson.query!r:.60}")
    if not lessons.pool or not any(max(q.grades.values(), default=0) > 0 for q in lessons.dev):
        raise InputError("there is no held-out question to stop by", cure="Hold some back")
    if any(max(question.grades.values(), default=0) <= 0 for question in lessons.dev):
        raise InputError("a held-out question has no answer", cure="Leave it out")
    if len({lesson.positive for lesson in lessons.train}) < 2:
        raise InputError(
            "all training queries have the same answer, there is nothing to tell apart",
            cure="Bring judgments of several documents",
        )
    if plan.loss == "margin_mse" and not any(lesson.negatives for lesson in lessons.train):
        raise InputError(
            "no training query has a wrong candidate beside its answer",
            cure="Bring more documents, or other queries",
        )


def _right(lessons: Sequence[Lesson], documents: Sequence[int]) -> NDArray[np.bool_]:
    """Which of ``documents`` answer which question, beside the one that stands for it."""
    table = np.zeros((len(lessons), len(documents)), bool)
    for row, lesson in enumerate(lessons):
        for column, document in enumerate(documents):
            known = document == lesson.positive or document in lesson.right
            table[row, column] = known and row != column
    return table


def _dcg(grades: Sequence[int]) -> float:
    return float(np.dot(grades, 1 / np.log2(np.arange(2, len(grades) + 2))))

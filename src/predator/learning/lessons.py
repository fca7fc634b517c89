"""What a dual encoder learns from: questions, what answers them, and what only seems to.

Hard negatives come from the live ranker, and a named teacher says by how much each of them is
worse than the answer. Hard negatives without that hurt: many are answers that nobody judged
(Wang et al. 2022, GPL, table 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example
from predator.search.index import Index
from predator.search.serving.spaces import embedding_text

NEGATIVES = 8
"""Hard negatives kept a question; each epoch learns from another one."""
DEPTH = 50
"""Candidates in the live order that hard negatives are taken from, as in GPL."""
POSITIVE_SHARE = 0.95
"""A candidate that its teacher scores above this share of the answer's score may be an answer
itself. Moreira et al. 2024 (NV-Retriever) found 95% best of 80 to 100%."""
GREATEST_POOL = 600
"""Texts that held-out questions are ranked over: what two cores embed in about 10 s."""


@dataclass(frozen=True, slots=True)
class Teacher:
    """Who says how good candidates are: a score each, aligned with ``example.found.rows``."""

    name: str
    score: Callable[[Example], NDArray[np.float64]]


def fused_teacher(parameters: RetrievalParameters) -> Teacher:
    """The live ranker's own fused score, the teacher that is always at hand.

    No cross-encoder trained on MS MARCO is, so nothing stronger is to be had without judgments.
    It knows what the encoder does not: the lexical side.
    """

    def score(example: Example) -> NDArray[np.float64]:
        # Deep enough for every candidate to get a score, whatever the live ranker takes.
        found = example.refused(replace(parameters, depth=max(parameters.depth, example.depth)))
        place = {row: i for i, row in enumerate(found.rows.tolist())}
        return found.fused[[place[row] for row in example.found.rows.tolist()]].astype(np.float64)

    return Teacher(f"fused ({parameters.fusion})", score)


@dataclass(frozen=True, slots=True)
class Lesson:
    """One question. Texts are numbers into :attr:`Lessons.texts`.

    ``margins``: by how much the teacher puts ``positive`` above each of ``negatives``, in its own
    unit. ``right``: every text that is known to answer the question.
    """

    query: str
    positive: int
    negatives: tuple[int, ...]
    margins: tuple[float, ...]
    right: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Question:
    """A held-out question with the grades of texts; the others of the pool count as wrong."""

    query: str
    grades: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Lessons:
    """``train`` to learn from, ``dev`` to stop and to mix by; ``pool`` is what dev ranks over."""

    texts: Sequence[str]
    train: Sequence[Lesson]
    dev: Sequence[Question]
    pool: Sequence[int]
    teacher: str


@dataclass
class _Texts:
    """Rows of an index as the texts that the encoder sees, each once."""

    index: Index
    masked: Mapping[str, Document]
    texts: list[str] = field(default_factory=list)
    known: dict[int, int] = field(default_factory=dict)

    def number(self, row: int) -> int:
        if row not in self.known:
            self.known[row] = len(self.texts)
            document = self.index.documents[row]
            self.texts.append(embedding_text(self.masked.get(document.id, document)))
        return self.known[row]


def make_lessons(
    index: Index,
    train: Sequence[Example],
    dev: Sequence[Example],
    live: RetrievalParameters,
    teacher: Teacher,
    seed: int,
    *,
    filtered: bool,
    masked: Mapping[str, Document] | None = None,
) -> Lessons:
    """Lessons from retrieved examples; ``dev`` examples are never learnt from.

    With ``filtered`` (for InfoNCE) every positive teaches, and candidates that only might be
    answers are left out. Without (for margins, which tell how wrong each is) all candidates may
    come, and a question whose answer is not among the first ``DEPTH`` is dropped: of a generated
    one, its source does not answer it. ``masked`` are documents by id without the spans that
    generated questions were taken from (:func:`~predator.learning.query_generation.masked`): with
    the spans in place, to copy is all that is learnt.
    """
    rng = np.random.default_rng(seed)
    texts = _Texts(index, masked or {})
    lessons: list[Lesson] = []
    for example in train:
        lessons += _lessons_of(example, live, teacher, texts, rng, filtered)
    pool: dict[int, None] = {}
    questions = []
    for example in dev:
        grades = {texts.number(row): grade for row, grade in example.grade_of.items() if grade > 0}
        if grades and example.query.text.strip():
            questions.append(Question(example.query.text, grades))
            pool.update(dict.fromkeys(grades))
    if not lessons or not questions:
        raise InputError(
            f"{len(lessons)} lessons and {len(questions)} held-out questions are too few to tune "
            "an encoder",
            cure="Bring more judgments, or more generated queries that find their source",
        )
    each = max(1, (GREATEST_POOL - len(pool)) // len(questions))
    for example in dev:
        pool.update(dict.fromkeys(texts.number(row) for row in _best(example, live, each)))
    kept = list(pool)[:GREATEST_POOL]
    inside = set(kept)
    questions = [question for question in questions if inside.intersection(question.grades)]
    return Lessons(texts.texts, lessons, questions, kept, teacher.name)


def _lessons_of(
    example: Example,
    live: RetrievalParameters,
    teacher: Teacher,
    texts: _Texts,
    rng: np.random.Generator,
    filtered: bool,
) -> list[Lesson]:
    rows = example.found.rows.tolist()
    answers = [row for row, grade in example.grade_of.items() if grade > 0]
    if not example.query.text.strip() or not answers:
        return []
    scores = teacher.score(example)
    if not np.isfinite(scores).all():
        raise InputError(
            f"the teacher {teacher.name} gave a score that is no number",
            cure="Choose another teacher",
        )
    of = dict(zip(rows, scores.tolist(), strict=True))
    lowest = float(scores.min()) if len(scores) else 0.0
    ranked = _best(example, live, DEPTH)
    lessons = []
    for answer in answers:
        if not filtered and answer not in ranked:
            continue
        best = of.get(answer, lowest)
        most = lowest + POSITIVE_SHARE * (best - lowest)
        wrong = [
            row
            for row in ranked
            if row not in answers and (not filtered or row in example.grade_of or of[row] <= most)
        ]
        chosen = [wrong[i] for i in sorted(rng.permutation(len(wrong))[:NEGATIVES])]
        lessons.append(
            Lesson(
                example.query.text,
                texts.number(answer),
                tuple(texts.number(row) for row in chosen),
                tuple(best - of[row] for row in chosen),
                frozenset(texts.number(row) for row in answers),
            )
        )
    return lessons


def _best(example: Example, live: RetrievalParameters, count: int) -> list[int]:
    rows: list[int] = example.best(live, count).tolist()
    return rows

"""What an encoder is taught: answers, and wrong candidates that a teacher vouches for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.domain.documents import Query
from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example
from predator.learning.lessons import (
    GREATEST_POOL,
    NEGATIVES,
    POSITIVE_SHARE,
    Lessons,
    Teacher,
    fused_teacher,
    make_lessons,
)
from predator.search.serving.spaces import embedding_text
from tests.learning.worlds import World, world

LIVE = RetrievalParameters(fusion="zsum")


@pytest.fixture(scope="module")
def small() -> World:
    return world(12)


def lessons_of(
    found: World,
    train: Sequence[Example] | None = None,
    teacher: Teacher | None = None,
    *,
    filtered: bool = True,
    seed: int = 0,
) -> Lessons:
    return make_lessons(
        found.index,
        found.examples[:8] if train is None else train,
        found.examples[8:],
        LIVE,
        teacher or fused_teacher(LIVE),
        seed,
        filtered=filtered,
    )


def told(score: float, *, answer: float, among: World) -> Teacher:
    """Gives every answer one score and every other candidate another."""

    def scores(example: Example) -> NDArray[np.float64]:
        return np.where(example.grades_of(example.found) > 0, answer, score).astype(float)

    return Teacher("told", scores)


def test_every_judged_question_teaches_its_answer_and_wrong_candidates(small: World) -> None:
    found = lessons_of(small)
    assert [lesson.query for lesson in found.train] == [q.text for q in small.queries[:8]]
    for lesson, example in zip(found.train, small.examples, strict=False):
        (row,) = example.grade_of
        assert found.texts[lesson.positive] == embedding_text(small.index.documents[row])
        assert lesson.positive not in lesson.negatives
        assert len(lesson.negatives) == len(lesson.margins) <= NEGATIVES
        assert lesson.right == {lesson.positive}


def test_the_same_seed_gives_the_same_lessons_and_held_out_questions_never_teach(
    small: World,
) -> None:
    found = lessons_of(small)
    assert found == lessons_of(small)
    assert not {q.query for q in found.dev} & {lesson.query for lesson in found.train}
    assert {text for q in found.dev for text in q.grades} <= set(found.pool)
    assert len(found.pool) <= GREATEST_POOL


def test_a_candidate_that_the_teacher_finds_as_good_as_the_answer_is_no_wrong_one(
    small: World,
) -> None:
    as_good = lessons_of(small, teacher=told(0.99, answer=1.0, among=small))
    assert all(len(lesson.negatives) for lesson in as_good.train)  # 0.99 is the lowest score here
    close = Teacher(
        "close",
        lambda example: np.linspace(0, 1, len(example.found.rows)),
    )
    for lesson, example in zip(
        lessons_of(small, teacher=close).train, small.examples, strict=False
    ):
        (row,) = example.grade_of
        best = dict(zip(example.found.rows.tolist(), close.score(example), strict=True))[row]
        assert all(best - margin <= POSITIVE_SHARE * best for margin in lesson.margins)


def test_a_candidate_that_was_judged_wrong_teaches_whatever_the_teacher_thinks(
    small: World,
) -> None:
    example = small.examples[0]
    (answer,) = example.grade_of
    wrong = next(row for row in example.found.rows.tolist() if row != answer)
    judged = replace(example, grade_of={answer: 1, wrong: 0})
    teacher = Teacher("upside down", lambda e: (1 - e.grades_of(e.found)).astype(np.float64))
    found = lessons_of(small, [judged], teacher)
    text = embedding_text(small.index.documents[wrong])
    assert [found.texts[i] for i in found.train[0].negatives] == [text]


def test_without_judgments_the_margins_teach_and_a_lost_source_does_not(small: World) -> None:
    example = small.examples[0]
    lost = replace(example, query=Query("lost", "zzz"), grade_of={10**6: 1})
    teacher = told(0.25, answer=1.0, among=small)
    found = lessons_of(small, [example, lost], teacher, filtered=False)
    assert [lesson.query for lesson in found.train] == [example.query.text]
    assert set(found.train[0].margins) == {0.75}
    assert found.teacher == "told"


def test_a_generated_questions_own_words_are_taken_out_of_its_source(small: World) -> None:
    example = small.examples[0]
    (answer,) = example.grade_of
    document = small.index.documents[answer]
    masked = {document.id: replace(document, text="the rest")}
    found = make_lessons(
        small.index, [example], small.examples[8:], LIVE, fused_teacher(LIVE), 0,
        filtered=True, masked=masked,
    )  # fmt: skip
    assert found.texts[found.train[0].positive] == f"{document.title}. the rest"


def test_the_live_score_is_the_teacher_at_hand_and_says_so(small: World) -> None:
    teacher, example = fused_teacher(LIVE), small.examples[0]
    assert teacher.name == "fused (zsum)"
    refused = example.refused(LIVE)
    expected = dict(zip(refused.rows.tolist(), refused.fused.tolist(), strict=True))
    assert teacher.score(example).tolist() == [expected[r] for r in example.found.rows.tolist()]


def test_empty_queries_teach_nothing_and_nothing_at_all_is_an_error(small: World) -> None:
    silent = replace(small.examples[0], query=Query("empty", "  "))
    assert len(lessons_of(small, [silent, small.examples[1]]).train) == 1
    with pytest.raises(InputError, match="too few"):
        lessons_of(small, [silent])


def test_a_teacher_that_gives_no_number_is_refused_by_name(small: World) -> None:
    broken = Teacher("broken", lambda e: np.full(len(e.found.rows), np.nan))
    with pytest.raises(InputError, match="broken"):
        lessons_of(small, teacher=broken)

"""What a cross-encoder is told is right and wrong, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predator.domain.documents import Query
from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning.examples import Example, collect
from predator.learning.pairs import HARD, NEGATIVES, Pair, Pairs, check_pairs, make_pairs
from predator.search.cross_encoder import passage
from predator.search.index import Index
from tests.learning.worlds import World, world
from tests.search.fakes import HashedEncoder, documents, indexed

LIVE = RetrievalParameters(fusion="zsum")


@pytest.fixture(scope="module")
def small() -> World:
    return world(10)


def made(index: Index, examples: list[Example], **more: object) -> list[list[Pair]]:
    return make_pairs(index, examples, LIVE, **{"seed": 0, "depth": 30, **more})  # type: ignore[arg-type]


def test_answers_are_right_and_candidates_are_wrong(small: World) -> None:
    for example, pairs in zip(small.examples, made(small.index, small.examples), strict=True):
        (answer,) = [one for one in pairs if one.target > 0]
        (row,) = example.grade_of
        assert answer.document == passage(small.index.documents[row])
        wrong = {one.document for one in pairs if one.target == 0}
        assert 1 <= len(wrong) == len(pairs) - 1 <= NEGATIVES
        found = example.best(LIVE, 30).tolist()
        assert wrong <= {passage(small.index.documents[r]) for r in found if r != row}
        assert {one.query for one in pairs} == {example.query.text}


def test_the_same_seed_gives_the_same_pairs(small: World) -> None:
    assert made(small.index, small.examples) == made(small.index, small.examples)
    assert made(small.index, small.examples) != made(small.index, small.examples, seed=1)


def test_only_what_will_be_read_is_learnt_from(small: World) -> None:
    for example, pairs in zip(
        small.examples, made(small.index, small.examples, depth=2), strict=True
    ):
        first = {passage(small.index.documents[r]) for r in example.best(LIVE, 2).tolist()}
        assert {one.document for one in pairs if one.target == 0} <= first


def wide(judged: dict[str, int]) -> tuple[Index, Example]:
    """One query with many candidates."""
    index = indexed(documents(200, seed=8))
    query = Query("q", "sparse matrix norm")
    (example,) = collect(index, HashedEncoder(), [query], {"q": judged})
    return index, example


def ids_of(index: Index, example: Example) -> list[str]:
    return [index.documents[row].id for row in example.best(LIVE, 40).tolist()]


def test_half_of_the_wrong_ones_are_hard() -> None:
    index, example = wide({})
    found = ids_of(index, example)
    index, example = wide({found[0]: 1})
    (pairs,) = made(index, [example], depth=40)
    place = {passage(index.documents[index.row_of(i) or 0]): n for n, i in enumerate(found)}
    wrong = [place[one.document] for one in pairs if one.target == 0]
    assert len(wrong) == NEGATIVES
    assert sum(one < HARD for one in wrong) >= NEGATIVES // 2


def test_what_was_judged_wrong_comes_first() -> None:
    index, example = wide({})
    found = ids_of(index, example)
    judged = {found[0]: 2, **dict.fromkeys(found[20 : 20 + NEGATIVES], 0)}
    index, example = wide(judged)
    (pairs,) = made(index, [example], depth=40)
    wrong = [one.document for one in pairs if one.target == 0]
    assert wrong == [
        passage(index.documents[index.row_of(i) or 0]) for i in found[20 : 20 + NEGATIVES]
    ]


def test_what_both_sides_put_beside_the_answer_may_be_one_and_is_left_out() -> None:
    index, example = wide({})
    rows = example.found.rows
    # The answer is the weakest candidate of both sides: then whatever beats it on both is unsure.
    both = np.argsort(example.found.all.bm25 + example.found.cosine)
    answer = int(rows[both[0]])
    weakest = replace(example, grade_of={answer: 1})
    (pairs,) = made(index, [weakest], depth=len(rows))
    place = int(np.flatnonzero(rows == answer)[0])
    bm25, cosine = example.found.all.bm25, example.found.cosine
    unsure = {
        passage(index.documents[row])
        for row, lexical, dense in zip(rows.tolist(), bm25, cosine, strict=True)
        if lexical > 0.95 * bm25[place] and dense > 0.95 * cosine[place] and row != answer
    }
    assert unsure
    assert not unsure & {one.document for one in pairs}
    # A person's word stands: judged 0, the same candidate is wrong.
    sure = replace(example, grade_of={answer: 1, **{int(r): 0 for r in rows if r != answer}})
    (pairs,) = made(index, [sure], depth=len(rows))
    assert unsure & {one.document for one in pairs}


def test_grades_are_shares_of_the_highest() -> None:
    index, example = wide({})
    found = ids_of(index, example)
    index, example = wide({found[0]: 3, found[1]: 1, found[2]: -1})
    (pairs,) = made(index, [example])
    assert sorted({round(one.target, 3) for one in pairs}) == [0, 0.333, 1]


def test_a_teacher_says_how_right_and_weights_say_how_much() -> None:
    index, example = wide({})
    found = ids_of(index, example)
    index, example = wide({found[0]: 1})
    teacher = {("q", document): 0.25 for document in found}
    (pairs,) = made(index, [example], teacher=teacher, weight=0.5)
    assert {one.target for one in pairs} == {0.25}
    assert {one.weight for one in pairs} == {0.5}


@pytest.mark.parametrize("text", ["", "  \t\n"])
def test_empty_queries_teach_nothing(small: World, text: str) -> None:
    empty = replace(small.examples[0], query=Query("q", text))
    unjudged = replace(small.examples[1], grade_of={})
    assert made(small.index, [empty, unjudged]) == [[], []]
    assert made(small.index, []) == []


RIGHT, WRONG = Pair("q", "a", 1.0), Pair("q", "b", 0.0)


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (Pairs([]), "there is none"),
        (Pairs([RIGHT] * 3), "all have the target 1"),
        (Pairs([WRONG] * 3), "all have the target 0"),
        (Pairs([RIGHT, WRONG, replace(RIGHT, query=" ")]), "training pair 2 has an empty query"),
        (Pairs([RIGHT, WRONG], [replace(RIGHT, query="")]), "dev pair 0 has an empty query"),
        (Pairs([RIGHT, replace(WRONG, target=float("nan"))]), "has target nan"),
        (Pairs([RIGHT, replace(WRONG, target=1.5)]), "has target 1.5"),
        (Pairs([RIGHT, replace(WRONG, weight=0.0)]), "weight 0"),
        (Pairs([RIGHT, replace(WRONG, weight=float("inf"))]), "weight inf"),
    ],
)
def test_pairs_that_teach_nothing_are_a_clear_error(pairs: Pairs, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_pairs(pairs)
    check_pairs(Pairs([RIGHT, WRONG]))

"""Nothing is learnt from a question that says what a Gold question says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.learning.leakage import (
    NEAR,
    gold_marks,
    near_duplicates,
    near_marks,
    near_pairs,
    nearest,
    signature,
)

WORDS = [f"word{i}" for i in range(40)]
questions = st.lists(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map(" ".join), max_size=25
)


@pytest.mark.parametrize(
    ("copy", "gold"),
    [
        ("how do I read a CSV file?", "read csv files"),
        ("READING   CSV FILES", "read csv file"),
        ("trail boots black women", "trail boots women"),
        (
            "61% of adult patients show regional metastases",
            "30% of adult patients show regional metastases",
        ),
        ("drug X does not raise blood pressure", "drug X raises blood pressure"),
        ("Скільки документів у фонді?", "скільки документ у фонд"),
        ("如何读取一个文件", "如何读取一个文件?"),
        ("ｃｓｖ　ｆｉｌｅ", "csv file"),
        ("to be or not to be", "to be, or not to be?"),
        ("??", " ?? "),
    ],
)
def test_a_question_in_other_form_is_the_same_question(copy: str, gold: str) -> None:
    assert near_duplicates([copy], ["something else entirely", gold]).tolist() == [True]
    assert near_marks([copy], gold_marks([gold])).tolist() == [True]
    assert nearest([copy], ["something else entirely", gold]) == [1]


@pytest.mark.parametrize(
    ("question", "gold"),
    [
        ("what is the capital of Spain", "what is the capital of France"),
        ("read csv", "write csv"),
        ("python list", "python list sort stable"),
        ("如何写入一个数据库", "如何读取一个文件"),
        ("??", "!!"),
        ("", "csv"),
    ],
)
def test_another_question_may_be_learnt_from(question: str, gold: str) -> None:
    assert near_duplicates([question], [gold]).tolist() == [False]


@given(questions, questions)
@settings(max_examples=60)
def test_the_join_finds_exactly_the_pairs_that_brute_force_finds(
    queries: list[str], gold: list[str]
) -> None:
    def similarity(a: str, b: str) -> float:
        left, right = signature(a), signature(b)
        return len(left & right) / len(left | right)

    wanted = [max((similarity(q, g) for g in gold), default=0.0) for q in queries]
    found = nearest(queries, gold)
    assert [at >= 0 for at in found] == [best >= NEAR for best in wanted]
    for query, at, best in zip(queries, found, wanted, strict=True):
        assert at < 0 or similarity(query, gold[at]) == best
    assert near_duplicates(queries, gold).tolist() == near_marks(queries, gold_marks(gold)).tolist()
    pairs = [
        (i, j)
        for j in range(len(queries))
        for i in range(j)
        if similarity(queries[i], queries[j]) >= NEAR
    ]
    assert sorted(near_pairs(queries)) == sorted(pairs)


@given(st.text(max_size=60))
def test_any_text_is_like_itself_and_has_a_signature(text: str) -> None:
    assert signature(text)
    assert near_duplicates([text], [text]).tolist() == [True]
    assert near_marks([text], gold_marks([text])).tolist() == [True]


def test_no_gold_and_no_queries_are_no_leak() -> None:
    assert near_duplicates(["a question"], []).tolist() == [False]
    assert near_duplicates([], ["a question"]).dtype == np.bool_
    assert near_marks(["a question"], ["", " "]).tolist() == [False]


def test_marks_hold_no_text() -> None:
    [mark] = gold_marks(["confidential acquisition"])
    assert "confid" not in mark and "acquisit" not in mark

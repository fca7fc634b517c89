"""Only people's judgments make a Gold set, whatever else a row calls itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.errors import InputError
from predator.domain.gold_set import GoldRow, GoldSet, Human, Lineage, SplitRule, admit

TAINTED = (
    "click", "generated", "pseudo", "pseudo-label", "teacher", "synthetic", "augmented", "model",
    "llm", "title", "inverse_cloze", "", " judgment", "Judgment", "JUDGMENT", "judgment\n",
    "judgment,click", "known-item", "Human.JUDGMENT",
)  # fmt: skip


def row(number: int, source: str = Human.JUDGMENT, **given: object) -> GoldRow:
    lineage = Lineage(source, "qrels/test.tsv", "a" * 64, (number + 2,), "ann", 1e9)
    made = GoldRow(f"q{number}", f"question {number}", {f"d{number}": 1}, lineage, 1e9 + number)
    return replace(made, **given)  # type: ignore[arg-type]


def gold_set(*rows: GoldRow) -> GoldSet:
    rule = SplitRule("cluster", "none of 3 questions say when they were asked", 7)
    return GoldSet("tiny", "c" * 64, "d" * 64, rows or (row(0), row(1)), rule)


@pytest.mark.parametrize("source", TAINTED)
def test_what_no_person_judged_is_refused_with_its_row(source: str) -> None:
    with pytest.raises(InputError, match=r"'q3' cannot be Gold.*1 of 3 rows") as error:
        gold_set(row(1), row(3, source), row(5))
    assert repr(source)[:40] in str(error.value) and "qrels/test.tsv:5" in str(error.value)


@pytest.mark.parametrize("source", list(Human))
def test_each_kind_of_people_is_admitted(source: Human) -> None:
    assert gold_set(row(1, source.value)).sources == {source.value: 1}


@given(st.lists(st.one_of(st.sampled_from(TAINTED), st.text(max_size=12), st.sampled_from(Human))))
def test_a_set_holds_people_alone_or_is_none(sources: list[str]) -> None:
    rows = [row(i, source) for i, source in enumerate(sources)]
    if all(source in ("judgment", "known_item") for source in sources):
        assert admit(rows) == tuple(rows)
    else:
        with pytest.raises(InputError):
            gold_set(*rows)


def test_a_question_stands_once() -> None:
    with pytest.raises(InputError, match="twice"):
        gold_set(row(1), row(1))


@pytest.mark.parametrize("given", [{"grades": {}}, {"asked_at": float("nan")}])
def test_a_row_without_a_judgment_or_with_an_absurd_time_is_none(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="q1"):
        replace(row(1), **given)  # type: ignore[arg-type]


def test_content_names_questions_and_grades_body_all_but_the_version() -> None:
    first = gold_set()
    sealed = replace(first, version=3, supersedes="e" * 64, sealed_at=1.0)
    assert (sealed.body, sealed.content) == (first.body, first.content)
    other_judge = gold_set(row(0), replace(row(1), lineage=row(5).lineage))
    assert other_judge.content == first.content and other_judge.body != first.body
    other_grade = gold_set(row(0), row(1, grades={"d1": 2}))
    assert other_grade.content != first.content


def test_a_set_survives_json() -> None:
    sealed = replace(gold_set(), version=2, supersedes="e" * 64, sealed_at=5.0)
    assert GoldSet.from_json(sealed.to_json()) == sealed

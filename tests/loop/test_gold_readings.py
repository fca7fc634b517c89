"""How far a Gold set can be trusted is said with numbers, or said to be unknown; never a zero."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.adapters.object_store.memory import MemoryObjectStore
from predator.domain.documents import Query
from predator.domain.errors import IntegrityError
from predator.domain.readings import Failed, NoData, Stale, Value
from predator.loop.gold.readings import MUCH, bias, shown, staleness, told, unjudged
from predator.loop.gold.report import check_apart, readings, report
from predator.loop.gold.sets import keep_documents
from predator.loop.labels import Labels
from tests.domain.test_gold_set import gold_set, row

AT = 2e9


def test_staleness_is_age_and_what_came_and_went() -> None:
    gold = replace(gold_set(row(0), row(1), row(2), row(3)), sealed_at=AT - 100, version=1)
    seen = {f"d{i}" for i in range(8)}
    now = (seen - {"d3"}) | {"new"}
    found = staleness(gold, seen, now, AT)
    assert found["seal_age_s"] == Value(100, 1, 100, 100, AT)
    assert found["judgment_age_s"] == Value(1e9, 4, 1e9, 1e9, AT)
    assert found["new_documents"] == Value(1 / 8, 8, 1 / 8, 1 / 8, AT)
    assert found["gone_documents"] == Value(1 / 4, 4, 1 / 4, 1 / 4, AT)
    assert told(found) == (
        "documents that its judges could not see: 12%, judged documents that are gone: 25%"
    )


def test_what_nobody_knows_is_no_zero() -> None:
    undated = replace(row(0), lineage=replace(row(0).lineage, at=None))
    found = staleness(gold_set(undated), frozenset(), frozenset(), AT)
    assert found["judgment_age_s"] == NoData("no judgment says when it was made")
    assert found["seal_age_s"] == NoData("the set is not sealed")
    assert found["new_documents"] == NoData("no document is there")
    assert found["gone_documents"] == Value(1, 1, 1, 1, AT)
    assert "could not see: unknown (no document is there)" in told(found)
    assert shown(found["seal_age_s"]) == {"value": None, "reason": "the set is not sealed"}
    assert shown(Failed("no answer")) == {"value": None, "reason": "no answer"}
    assert shown(Stale(61.4)) == {"value": None, "reason": "61 s old"}


def test_unjudged_at_10_is_the_share_of_the_first_ten() -> None:
    judgments = {"a": {"d1": 1, "d2": 0}, "b": {"d1": 1}, "c": {"d1": 1}}
    ranked = {"a": ["d1", "d2", "x", "y"], "b": ["d1"] + [f"x{i}" for i in range(19)], "c": []}
    found = unjudged(ranked, judgments, AT)
    assert isinstance(found, Value)
    assert found.value == pytest.approx((0.5 + 0.9) / 2) and found.n == 2
    assert 0 <= found.ci_low < found.value < found.ci_high <= 1


@pytest.mark.parametrize("ranked", [{}, {"a": []}, {"a": ["d1"]}])
def test_too_few_rankings_are_no_data(ranked: dict[str, list[str]]) -> None:
    assert isinstance(unjudged(ranked, {"a": {"d1": 1}, "b": {"d1": 1}}, AT), NoData)


def rankings(unknown: list[int]) -> dict[str, list[str]]:
    """Ten hits for each query, so many of which nobody judged."""
    return {
        f"q{i}": [f"x{j}" for j in range(n)] + [f"d{j}" for j in range(10 - n)]
        for i, n in enumerate(unknown)
    }


JUDGED = {f"q{i}": {f"d{j}": 1 for j in range(10)} for i in range(20)}


def test_a_candidate_that_shows_much_that_nobody_judged_is_said_to_suffer() -> None:
    some, more = rankings([1, 2] * 10), rankings([3, 4, 5, 4] * 5)
    assert "unjudged@10 is +0.25 for the candidate" in bias(more, some, JUDGED)
    assert bias(some, more, JUDGED) == ""
    assert bias(some, some, JUDGED) == ""


def test_a_difference_of_one_query_is_noise() -> None:
    assert bias(rankings([10] * 3 + [0] * 17), rankings([0] * 20), JUDGED) == ""
    assert bias({}, {}, JUDGED) == "" == bias(rankings([9]), rankings([1]), JUDGED)


@given(st.lists(st.tuples(st.integers(0, 10), st.integers(0, 10)), min_size=2, max_size=20))
def test_the_bias_is_only_told_where_the_candidate_shows_a_hit_of_ten_more(
    pairs: list[tuple[int, int]],
) -> None:
    told = bias(rankings([c for c, _ in pairs]), rankings([b for _, b in pairs]), JUDGED)
    assert not told or sum(c - b for c, b in pairs) / len(pairs) / 10 >= MUCH - 1e-9


def test_an_evaluation_tells_version_lineage_and_readings() -> None:
    objects = MemoryObjectStore()
    seen = keep_documents(objects, ["d0", "d1"])
    gold = replace(gold_set(), documents=seen, version=2, sealed_at=AT - 5)
    queries = [Query(one.query, one.text) for one in gold.rows]
    labels = Labels((), (), queries, {r.query: r.grades for r in gold.rows}, gold, "f" * 64)
    ranked = {"q0": ["d0"], "q1": ["d9"]}
    found = report(labels, objects, {"d0", "d9"}, {"baseline": ranked, "candidate": ranked}, AT)
    assert (found["version"], found["digest"], found["queries"]) == (2, "f" * 64, 2)
    assert found["sources"] == {"judgment": 2} and found["split"]["by"] == "cluster"
    assert found["readings"]["new_documents"]["value"] == 0.5
    assert found["readings"]["gone_documents"]["value"] == 0.5
    assert found["unjudged_at_10"]["candidate"]["value"] == 0.5
    assert found["bias"] == ""
    assert "question" not in str(found["split"]["by"]) and "question 0" not in str(found)


def test_training_data_that_holds_a_gold_question_is_not_trained_on() -> None:
    labels = Labels((), (), [Query("q", "sorting large arrays in place")], {"q": {"d": 1}})
    check_apart(["sorting lists", "arrays of dates"], labels)
    with pytest.raises(IntegrityError, match="1 of 2 training queries") as error:
        check_apart(["sorting lists", "how to sort large arrays in place"], labels)
    assert "'how to sort large arrays in place'" in str(error.value)


def test_gold_that_is_not_sealed_has_no_readings() -> None:
    labels = Labels((), (), [Query("q", "t")], {"q": {"d": 1}})
    found = readings(labels, MemoryObjectStore(), {"d"}, AT)
    assert {type(one) for one in found.values()} == {NoData} and len(found) == 4

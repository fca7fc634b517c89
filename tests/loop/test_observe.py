"""From recorded searches to readings: judged traffic alone, and never a Gold query."""

from __future__ import annotations

from dataclasses import replace

import pytest

from predator.domain.documents import Query
from predator.domain.readings import NoData, Value
from predator.loop.labels import Labels
from predator.loop.observe import (
    document_frequency,
    judged_ndcg,
    judged_searches,
    judgments_for,
    ndcg_by_impression,
    new_terms,
    p95_latency_ms,
    surface_words,
    term_counts,
)
from predator.ports.feedback import Impression
from tests.search.fakes import documents, engine, indexed

ASKED, LIVE, GOLD = Query("q1", "known question"), Query("q2", "live one"), Query("q3", "secret")
JUDGMENTS = {"q1": {"a": 1}, "q2": {"a": 1, "b": 2}, "q3": {"a": 1}}
LABELS = Labels([ASKED], [LIVE], [GOLD], JUDGMENTS)


def served(query: Query | str, hits: str = "a", *, number: int = 0, at: float = 0.0) -> Impression:
    text = query if isinstance(query, str) else query.text
    return Impression(
        f"{text}-{number}", text, "u", "r", "", "", tuple(hits), (), None, 10.0 + number, at
    )


class TestNdcg:
    def test_the_windows_judged_searches_are_scored_as_they_were_answered(self) -> None:
        seen = [served(ASKED, "a" if n % 2 else "xa", number=n) for n in range(40)]
        found = judged_ndcg(seen, LABELS, 5.0)
        assert isinstance(found, Value)
        assert (found.n, found.at) == (40, 5.0)
        assert found.value == pytest.approx((1 + 0.63093) / 2, abs=1e-4)
        assert found.ci_low < found.value < found.ci_high

    @pytest.mark.parametrize("count", [0, 1, 19])
    def test_too_few_are_no_data_not_a_number(self, count: int) -> None:
        seen = [served(ASKED, number=n) for n in range(count)]
        assert isinstance(judged_ndcg(seen, LABELS, 0.0), NoData)

    def test_unjudged_and_gold_queries_never_count(self) -> None:
        seen = [served(GOLD, number=n) for n in range(50)]
        seen += [served("never judged", number=n) for n in range(50)]
        assert ndcg_by_impression(seen, LABELS) == {}
        assert isinstance(judged_ndcg(seen, LABELS, 0.0), NoData)

    def test_a_text_that_is_also_gold_stays_out(self) -> None:
        """Two queries with the same words: the Gold one keeps the other from being watched."""
        twin = Query("q9", GOLD.text)
        labels = Labels([twin], [], [GOLD], {**JUDGMENTS, "q9": {"a": 1}})
        assert labels.monitored == {}

    def test_an_empty_answer_is_a_zero(self) -> None:
        seen = [served(LIVE, "" if n else "ba", number=n) for n in range(30)]
        found = ndcg_by_impression(seen, LABELS)
        assert sorted(set(found.values())) == [0.0, 1.0]
        assert sum(found.values()) == 1.0


class TestWhereTheLossIs:
    def test_each_search_is_lost_at_one_stage(self) -> None:
        docs = documents(30)
        index = indexed(docs)
        arrivals = {doc.id: 10.0 for doc in docs}
        arrivals["doc-29"] = 99.0
        near = Query("near", f"{docs[3].title} {docs[3].text}")
        labels = Labels(
            [near, Query("late", "time zone"), Query("lost", "qqqq"), Query("fine", "image")],
            [],
            [],
            {
                "near": {"doc-3": 1},
                "late": {"doc-29": 1},
                "lost": {"missing": 1},
                "fine": {"doc-1": 1},
            },
        )
        seen = [
            replace(served(near, at=50.0), hits=("doc-1",)),
            replace(served("time zone", at=50.0), hits=("doc-1",)),
            replace(served("image", at=50.0), hits=("doc-1",)),
            replace(served("nobody judged this", at=50.0), hits=("doc-1",)),
        ]
        found = judged_searches(
            seen, labels, engine(index), arrivals, 20.0, frozenset({"time", "imag"})
        )
        assert [one.stage for one in found] == ["ranking", "unindexed", "none"]
        assert [one.arrived for one in found] == [False, True, False]
        assert [one.loss for one in found] == [1.0, 1.0, 0.0]
        assert found[1].new_terms == ("zone",)
        few = engine(index, depth=1, fusion="bm25")
        [one] = judged_searches(
            [replace(served("image", at=50.0), hits=("doc-0",))],
            replace_judgments(labels, "fine", {"doc-7": 1}),
            few,
            arrivals,
            20.0,
            frozenset(),
        )
        assert one.stage == "recall"

    def test_the_newest_searches_are_looked_at(self) -> None:
        index = indexed(documents(5))
        labels = Labels([ASKED], [], [], {"q1": {"doc-0": 1}})
        seen = [replace(served(ASKED, number=n, at=n), hits=("doc-1",)) for n in range(9)]
        arrivals = {doc.id: 100.0 if doc.id == "doc-0" else 0.0 for doc in documents(5)}
        arrivals["doc-0"] = 6.5
        found = judged_searches(seen, labels, engine(index), arrivals, 0.0, frozenset(), most=4)
        assert found[0].stage == "unindexed"
        assert len(found) == 4
        assert "unindexed" not in [one.stage for one in found[2:]]

    def test_a_document_that_nobody_knows_has_no_category(self) -> None:
        labels = Labels([ASKED], [], [], {"q1": {"gone": 1}})
        [one] = judged_searches(
            [served(ASKED)], labels, engine(indexed(documents(3))), {}, 0.0, frozenset()
        )
        assert (one.category, one.stage, one.arrived) == ("unknown", "unindexed", True)


def replace_judgments(labels: Labels, query: str, grades: dict[str, int]) -> Labels:
    return Labels(labels.training, labels.live, labels.gold, {**labels.judgments, query: grades})


def test_latency_is_the_95th_percentile() -> None:
    assert p95_latency_ms([served("x", number=n) for n in range(101)]) == 105.0
    assert p95_latency_ms([]) == 0.0


def test_terms_are_counted_once_a_document_or_as_often_as_they_are_asked() -> None:
    assert term_counts(["sorted sorting", "tree"]) == {"sort": 2, "tree": 1}
    docs = [replace(documents(1)[0], title="Sorting", text="sorted trees, tree")]
    assert document_frequency(docs) == {"sort": 1, "tree": 1}


def test_new_terms_are_those_that_the_past_did_not_hold() -> None:
    before = {"old": 5}
    now = {"old": 50, "rare": 1, "fresh": 3, "newest": 9, "x2": 7, "ab": 8}
    assert new_terms(before, now) == ["newest", "fresh"]
    assert new_terms(before, now, most=1) == ["newest"]


def test_terms_are_shown_as_people_write_them() -> None:
    found = surface_words(["a classifier", "two Classifiers", "another classifier"])
    assert found["classifi"] == "classifier"


def test_judgments_can_be_picked() -> None:
    assert judgments_for(["q2"], JUDGMENTS) == {"q2": JUDGMENTS["q2"]}
    with pytest.raises(KeyError):
        judgments_for(["unknown"], JUDGMENTS)

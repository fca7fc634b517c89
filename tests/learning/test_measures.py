"""Measures as trec_eval computes them: checked by hand, missing answers counted as zero."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.learning.measures import MEASURES, score

documents = st.sampled_from([f"d{i}" for i in range(14)])
judgments = st.dictionaries(documents, st.integers(0, 3), max_size=14)
rankings = st.lists(documents, unique=True, max_size=14)


def ndcg_by_hand(grades: dict[str, int], ranked: list[str], k: int = 10) -> float:
    def dcg(values: list[int]) -> float:
        return sum(g / math.log2(place + 2) for place, g in enumerate(values[:k]))

    best = dcg(sorted(grades.values(), reverse=True))
    return dcg([grades.get(d, 0) for d in ranked]) / best if best else 0.0


@settings(max_examples=100)
@given(judgments, rankings)
def test_measures_are_what_the_definitions_say(grades: dict[str, int], ranked: list[str]) -> None:
    scores = score({"q": grades}, {"q": ranked})
    relevant = {d for d, g in grades.items() if g > 0}
    found = [d in relevant for d in ranked]
    assert scores.ndcg[0] == pytest.approx(ndcg_by_hand(grades, ranked))
    recall = sum(found[:20]) / len(relevant) if relevant else 0.0
    assert scores.recall[0] == pytest.approx(recall)
    assert scores.values["P@10"][0] == pytest.approx(sum(found[:10]) / 10)
    first = found[:10].index(True) + 1 if any(found[:10]) else math.inf
    assert scores.values["RR@10"][0] == pytest.approx(1 / first)


def test_gains_are_linear_as_in_trec_eval() -> None:
    scores = score({"q": {"a": 3, "b": 1}}, {"q": ["b", "x", "a"]})
    dcg = 1 / math.log2(2) + 3 / math.log2(4)
    best = 3 / math.log2(2) + 1 / math.log2(3)
    assert scores.ndcg[0] == pytest.approx(dcg / best)


def test_the_order_given_counts_not_the_names() -> None:
    """Engines rank; trec_eval would break ties of equal scores by document id."""
    judged = {"q": {"z": 1}}
    assert score(judged, {"q": ["z", "a", "b"]}).ndcg[0] == 1.0
    assert score(judged, {"q": ["a", "b", "z"]}).ndcg[0] == pytest.approx(0.5)
    assert score({"q": {"a": 1}}, {"q": ["z", "a"]}).ndcg[0] == pytest.approx(1 / math.log2(3))


def test_a_judged_query_without_an_answer_scores_zero() -> None:
    judged = {"a": {"d1": 1}, "b": {"d1": 1}, "c": {"d1": 1}, "d": {}}
    scores = score(judged, {"a": ["d1"], "c": [], "unjudged": ["d1"]})
    assert scores.queries == ("a", "b", "c", "d")
    assert scores.ndcg.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert scores.mean() == 0.25
    assert set(scores.values) == set(MEASURES)


def test_nothing_answered_is_zero_everywhere() -> None:
    scores = score({"a": {"d": 1}}, {})
    assert all(values.tolist() == [0.0] for values in scores.values.values())


def test_cutoffs() -> None:
    ranked = [f"d{i}" for i in range(1, 31)]
    scores = score({"q": {"d11": 1, "d20": 1, "d21": 1}}, {"q": ranked})
    assert scores.ndcg[0] == 0.0
    assert scores.values["RR@10"][0] == 0.0
    assert scores.recall[0] == pytest.approx(2 / 3)


def test_picking_keeps_queries_and_values_together() -> None:
    judged = {f"q{i}": {"d": 1} for i in range(5)}
    scores = score(judged, {"q1": ["d"], "q3": ["x", "d"]})
    picked = scores.pick(["q3", "q0", "q1"])
    assert picked.queries == ("q3", "q0", "q1")
    assert picked.ndcg.tolist() == pytest.approx([1 / math.log2(3), 0.0, 1.0])
    with pytest.raises(KeyError):
        scores.pick(["unknown"])


def test_odd_names_are_names() -> None:
    odd = ["q 1", "q\t2", "", "Q0", "запит", "😀"]
    judged = {name: {name: 1, "other doc": 0} for name in odd}
    scores = score(judged, {name: ["other doc", name] for name in odd})
    np.testing.assert_allclose(scores.ndcg, 1 / math.log2(3))

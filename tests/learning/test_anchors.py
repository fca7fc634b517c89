"""A tuned encoder that undoes what search did well is stopped, and one that does not is let by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.verdicts import Verdict
from predator.learning.anchors import (
    GREATEST,
    HALF_WORDS,
    HALVES_MARGIN,
    LEAST,
    Anchor,
    AnchorResult,
    AnchorSet,
    answered,
    halves,
    judge,
    reciprocal_ranks,
    verdict_of,
)

RANKS = np.array([1, 1 / 2, 1 / 3, 0.25, 0])


def group(n: int, margin: float = HALVES_MARGIN) -> AnchorSet:
    return AnchorSet("some", [Anchor(f"query {i}", i) for i in range(n)], ["text"] * n, margin)


def drawn(n: int, seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).choice(RANKS, n, p=[0.7, 0.15, 0.05, 0.05, 0.05])


def shaken(ranks: NDArray[np.float64], share: float, seed: int) -> NDArray[np.float64]:
    """Another encoder, as good on average: some anchors are dealt other ranks."""
    rng = np.random.default_rng(seed)
    moved = np.flatnonzero(rng.random(len(ranks)) < share)
    out = ranks.copy()
    out[moved] = rng.choice(RANKS, len(moved), p=[0.7, 0.15, 0.05, 0.05, 0.05])
    return out


def test_an_encoder_that_answers_as_before_passes() -> None:
    ranks = drawn(200, 0)
    result = judge(group(200), ranks, ranks)
    assert result.verdict is Verdict.PASS
    assert (result.loss_rel, result.lost, result.won) == (0.0, 0, 0)


def test_an_encoder_that_forgot_a_tenth_of_what_it_knew_fails() -> None:
    before = drawn(500, 1)
    after = before * (np.random.default_rng(2).random(500) > 0.1)
    result = judge(group(500), before, after)
    assert result.verdict is Verdict.FAIL
    assert result.loss_rel is not None
    assert result.loss_rel > HALVES_MARGIN


def test_an_equal_encoder_passes_in_nine_of_ten_cases_and_fails_in_none() -> None:
    verdicts = []
    for seed in range(200):
        before = drawn(GREATEST, seed)
        after = shaken(before, 1 / 7, seed + 999)
        verdicts.append(judge(group(GREATEST), before, after).verdict)
    assert verdicts.count(Verdict.PASS) >= 0.9 * 200
    assert verdicts.count(Verdict.FAIL) == 0


def test_an_encoder_that_loses_just_as_much_as_is_allowed_seldom_passes() -> None:
    passed = 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        before = drawn(400, seed)
        after = shaken(before, 1 / 7, seed + 999) * (rng.random(400) > HALVES_MARGIN)
        passed += judge(group(400), before, after).verdict is Verdict.PASS
    assert passed / 400 <= 0.08  # 0.05, and two standard errors of 400 tries


@pytest.mark.parametrize("n", [0, 1, LEAST - 1])
def test_too_few_anchors_prove_nothing(n: int) -> None:
    assert judge(group(n), np.ones(n), np.ones(n)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_a_rank_that_is_no_number_is_an_error_never_a_pass(broken: float) -> None:
    ranks = np.ones(50)
    ranks[7] = broken
    assert judge(group(50), np.ones(50), ranks).verdict is Verdict.ERROR
    assert judge(group(50), ranks, np.ones(50)).verdict is Verdict.ERROR
    assert judge(group(50), np.ones(50), np.ones(49)).verdict is Verdict.ERROR


def test_a_baseline_that_finds_nothing_proves_nothing() -> None:
    assert judge(group(50), np.zeros(50), np.ones(50)).verdict is Verdict.INCONCLUSIVE


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.3))
def test_a_worse_candidate_is_never_judged_better(seed: int, share: float) -> None:
    order = [Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.PASS]
    before = drawn(60, seed)
    after = shaken(before, share, seed)
    worse = np.where(np.random.default_rng(seed).random(60) < 0.5, after, 0.0)
    better, poorer = judge(group(60), before, after), judge(group(60), before, worse)
    if before.mean() > 0:
        assert (poorer.loss_rel or 0) >= (better.loss_rel or 0) - 1e-12
        assert poorer.verdict in order


def test_the_worst_group_decides_and_no_group_is_no_pass() -> None:
    def result(verdict: Verdict) -> AnchorResult:
        return AnchorResult("x", verdict, "", 0, None, None, None, None, 0.02, 0, 0)

    assert verdict_of([]) is Verdict.INCONCLUSIVE
    assert verdict_of([result(Verdict.PASS)]) is Verdict.PASS
    assert verdict_of([result(Verdict.PASS), result(Verdict.INCONCLUSIVE)]) is Verdict.INCONCLUSIVE
    assert verdict_of([result(Verdict.FAIL), result(Verdict.INCONCLUSIVE)]) is Verdict.FAIL
    assert verdict_of([result(Verdict.FAIL), result(Verdict.ERROR)]) is Verdict.ERROR


def test_ranks_are_those_of_the_cosine_and_end_at_ten() -> None:
    pool = np.eye(16, dtype=np.float32)
    query = np.linspace(1, 0.1, 16, dtype=np.float32)
    query /= np.linalg.norm(query)
    found = reciprocal_ranks(np.stack([query] * 3), pool, [0, 3, 10])
    np.testing.assert_allclose(found, [1, 1 / 4, 0])


def test_an_encoder_with_one_vector_for_everything_finds_nothing() -> None:
    one = np.full((20, 4), 0.5, np.float32)
    assert not reciprocal_ranks(one, one, list(range(20))).any()


def test_general_pairs_are_two_halves_of_a_document_and_the_same_for_the_same_seed() -> None:
    words = [f"w{i}" for i in range(300)]
    documents = [Document(f"d{i}", "", " ".join(words[i:])) for i in range(10)]
    documents += [Document("short", "", "too short for halves"), Document("empty", "", "")]
    found = halves(documents, 3)
    assert found == halves(documents, 3)
    assert len(found.anchors) == len(found.pool) == 10
    for anchor in found.anchors:
        first, second = anchor.query.split(), found.pool[anchor.target].split()
        assert len(first) == HALF_WORDS
        at = words.index(first[0])
        assert [*first, *second] == words[at : at + len(first) + len(second)]
    assert len(halves(documents, 3, most=4).anchors) == 4


def test_a_document_of_100k_words_is_cut_not_choked_on() -> None:
    long = Document("long", "", "word " * 100_000)
    assert len(halves([long], 0).anchors[0].query.split()) == HALF_WORDS


def test_answered_questions_are_searched_among_right_and_wrong_texts_each_once() -> None:
    found = answered([("q1", "a"), ("q2", "b"), ("q3", "a")], ["b", "c", "c"])
    assert list(found.pool) == ["a", "b", "c"]
    assert [anchor.target for anchor in found.anchors] == [0, 1, 0]

"""How alike two lists are, at the top more than at the bottom."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.statistics.rank_overlap import overlap_at, rank_biased_overlap

lists = st.lists(st.integers(0, 30), unique=True, max_size=15)


@given(lists, lists)
def test_both_lie_between_nothing_in_common_and_the_same(one: list[int], other: list[int]) -> None:
    for found in (overlap_at(one, other), rank_biased_overlap(one, other)):
        assert -1e-9 <= found <= 1 + 1e-9
    assert rank_biased_overlap(one, other) == pytest.approx(rank_biased_overlap(other, one))
    assert overlap_at(one, one) == 1.0
    assert rank_biased_overlap(one, one) == pytest.approx(1.0)


def test_what_shares_nothing_has_no_overlap() -> None:
    assert overlap_at("abc", "xyz") == 0.0
    assert rank_biased_overlap("abc", "xyz") == 0.0
    assert rank_biased_overlap("", "xyz") == 0.0
    assert rank_biased_overlap("", "") == overlap_at("", "") == 1.0


def test_the_top_counts_most() -> None:
    top, bottom = rank_biased_overlap("abcde", "xbcde"), rank_biased_overlap("abcde", "abcdx")
    assert top < bottom
    assert overlap_at("abcde", "xbcde") == overlap_at("abcde", "abcdx") == 0.8


def test_it_is_what_the_paper_computes() -> None:
    """By hand: agreement 0 at 1, 1 at 2; 0.1/0.9 · 0.81 + 0.81."""
    assert rank_biased_overlap("ab", "ba") == pytest.approx(0.1 / 0.9 * 0.81 + 0.81)
    # Lists of two lengths: at 1 and 2 agreement 1, beyond the short one it is taken to go on.
    assert rank_biased_overlap("ab", "abcd") == pytest.approx(1.0)


def test_what_is_no_list_of_ranks_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        rank_biased_overlap("aa", "ab")
    for persistence in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="persistence"):
            rank_biased_overlap("ab", "ab", persistence)
    with pytest.raises(ValueError, match="depth"):
        overlap_at("ab", "ab", 0)

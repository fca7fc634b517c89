"""Clicks are read with the knowledge that the bottom of a page is rarely looked at."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.statistics.click_model import (
    debiased_click_dcg,
    examination,
    reciprocal_rank_of_first_click,
)


def test_everyone_looks_at_the_top_and_one_in_five_at_rank_ten() -> None:
    curve = examination(10)
    assert curve[0] == 1.0
    assert curve[9] == pytest.approx(0.2, abs=0.005)
    assert (np.diff(curve) < 0).all()
    assert examination(0).shape == (0,)
    with pytest.raises(ValueError, match="depth -1"):
        examination(-1)


@settings(deadline=None)
@given(st.lists(st.integers(1, 100), min_size=1))
def test_only_the_topmost_click_counts(clicks: list[int]) -> None:
    assert reciprocal_rank_of_first_click(clicks) == 1 / min(clicks)


def test_no_click_is_zero_and_rank_zero_an_error() -> None:
    assert reciprocal_rank_of_first_click([]) == 0.0
    assert debiased_click_dcg([]) == 0.0
    for measure in (reciprocal_rank_of_first_click, debiased_click_dcg):
        with pytest.raises(ValueError, match="below 1"):
            measure([3, 0])


def test_weighting_by_examination_recovers_the_true_dcg() -> None:
    rng = np.random.default_rng(5)
    attraction = np.array([0.1, 0.9, 0.0, 0.4, 0.0, 0.8])
    truth = float((attraction / np.log2(np.arange(2, 8))).sum())
    clicked = (rng.random((40_000, 6)) < examination(6)) & (rng.random((40_000, 6)) < attraction)
    estimate = np.mean([debiased_click_dcg((np.flatnonzero(row) + 1).tolist()) for row in clicked])
    assert estimate == pytest.approx(truth, rel=0.02)

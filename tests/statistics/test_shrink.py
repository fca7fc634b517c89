"""A gain that passed a gate is reported as it is to be expected, not as it was picked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from predator.statistics.shrink import shrunken


@given(st.floats(0.001, 0.05), st.floats(0.0, 0.05), st.floats(0.0001, 0.2))
def test_it_is_between_nothing_and_what_was_seen(
    error: float, threshold: float, above: float
) -> None:
    found = shrunken(threshold + above, error, threshold)
    assert 0.0 <= found <= threshold + above


@given(st.floats(0.002, 0.02), st.floats(0.0, 0.03), st.floats(0.001, 0.06))
def test_it_is_the_median_of_what_passes(error: float, threshold: float, above: float) -> None:
    """By scipy's truncated normal: half of all estimates that pass lie below the one seen."""
    gain = threshold + above
    found = shrunken(gain, error, threshold)
    start = (threshold - found) / error
    below = float(stats.truncnorm.cdf((gain - found) / error, start, np.inf))
    assert below == pytest.approx(0.5, abs=1e-6) if found > 0 else below <= 0.5 + 1e-9


def test_far_above_the_threshold_nothing_is_taken_away() -> None:
    assert shrunken(0.10, 0.007, 0.015) == pytest.approx(0.10, rel=1e-6)
    assert shrunken(0.0151, 0.007, 0.015) == 0.0


@given(st.floats(0.0, 0.05), st.floats(0.001, 0.05))
def test_a_larger_gain_is_never_shown_as_a_smaller_one(gain: float, more: float) -> None:
    low = shrunken(0.02 + gain + 1e-4, 0.01, 0.02)
    assert shrunken(0.02 + gain + 1e-4 + more, 0.01, 0.02) >= low


@pytest.mark.parametrize("true", [0.01, 0.02, 0.03])
def test_what_passes_is_overstated_half_of_the_time_and_not_nearly_always(true: float) -> None:
    rng = np.random.default_rng(1)
    seen = true + 0.0127 * rng.standard_normal(4000)
    threshold = 0.0209
    passed = seen[seen > threshold][:600]
    fair = np.array([shrunken(one, 0.0127, threshold) for one in passed])
    assert np.mean(fair > true) == pytest.approx(0.5, abs=0.06)
    assert np.mean(passed > true) > 0.6
    assert abs(np.mean(fair - true)) < np.mean(passed - true)


@pytest.mark.parametrize(
    ("gain", "error", "threshold"),
    [(0.02, 0.01, 0.02), (0.01, 0.01, 0.02), (0.03, 0.0, 0.02), (float("nan"), 0.01, 0.02)],
)
def test_what_did_not_pass_is_refused(gain: float, error: float, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"did not pass|standard_error"):
        shrunken(gain, error, threshold)

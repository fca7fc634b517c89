"""Evidence that may be read at any time, and how long one has to wait for it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from predator.statistics.confidence_sequence import half_width
from predator.statistics.evidence import (
    chance_of_evidence,
    evidence_size,
    evident_effect,
    information_needed,
    log_evidence,
)


def paths(
    rng: np.random.Generator, runs: int, information: float, drift: float, looks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Brownian motions with drift at ``looks`` equal steps of information, and that information."""
    at = np.linspace(information / looks, information, looks)
    steps = rng.standard_normal((runs, looks)) * math.sqrt(information / looks)
    return np.cumsum(steps, axis=1) + drift * at, at


def test_equals_reach_the_threshold_as_rarely_as_promised() -> None:
    """Ville: at most 1 in 20, in 300 looks, for equals and for what is worse."""
    rng = np.random.default_rng(1)
    for drift in (0.0, -0.3):
        score, at = paths(rng, 3000, 30.0, drift, 300)
        weight = log_evidence(score / at, 1.0 / at, 1.0)
        assert (weight >= math.log(20)).any(axis=1).mean() <= 0.05


def test_the_confidence_sequence_covers_the_truth_at_all_looks() -> None:
    rng = np.random.default_rng(2)
    score, at = paths(rng, 3000, 30.0, 0.7, 300)
    wide = half_width(1.0 / at, 1.0 / 10.0)
    missed = (np.abs(score / at - 0.7) > wide).any(axis=1)
    assert missed.mean() <= 0.05
    assert (np.abs(score / at) > wide)[:, -1].mean() > 0.4, "and it is of use"


@pytest.mark.parametrize("pace", [1.0, 2.0, 0.2])
def test_the_chance_of_evidence_is_what_comes_of_it(pace: float) -> None:
    rng = np.random.default_rng(3)
    score, at = paths(rng, 1500, 8.0, (pace + 1.0) / 2.0, 1000)
    reached = (log_evidence(score / at, 1.0 / at, 1.0) >= math.log(20)).any(axis=1).mean()
    assert reached == pytest.approx(chance_of_evidence(8.0, pace=pace), abs=0.04)


@given(st.floats(0.05, 1.0), st.floats(0.001, 0.2), st.floats(0.05, 0.95), st.floats(0.5, 0.95))
def test_size_and_effect_are_inverse(sd: float, effect: float, share: float, power: float) -> None:
    n = evidence_size(sd, effect, share, power=power)
    assert evident_effect(n, sd, share, power=power) <= effect * (1 + 1e-9)
    if n > 2:
        assert evident_effect(n - 1, sd, share, power=power) > effect * (1 - 1e-9)


def test_the_price_of_looking_is_two_fifths_more_searches() -> None:
    """Beside one look at 5%, which takes 6.18."""
    assert information_needed(0.8) == pytest.approx(8.594, abs=0.001)
    assert evidence_size(0.25, 0.03 * 0.82, 0.2) * 0.2 == pytest.approx(1110, abs=3)


def test_more_power_and_higher_thresholds_take_longer() -> None:
    assert information_needed(0.9) > information_needed(0.8) > information_needed(0.5)
    assert information_needed(0.8, threshold=100.0) > information_needed(0.8)


def test_what_is_there_already_needs_no_more() -> None:
    assert chance_of_evidence(0.0, log_now=math.log(20)) == 1.0
    assert chance_of_evidence(0.0) == 0.0
    assert chance_of_evidence(1e6) == pytest.approx(1.0)


def test_without_information_there_is_no_evidence() -> None:
    assert log_evidence(0.3, math.inf, 0.1) == 0.0
    assert half_width(math.inf, 0.01) == math.inf


def test_a_gain_is_evidence_against_a_loss_of_that_size() -> None:
    assert log_evidence(0.1, 0.01, 0.1) == pytest.approx(0.5)
    assert log_evidence(0.1, 0.01, -0.1) == pytest.approx(-1.5)


@pytest.mark.parametrize("bad", [0.0, 1.0, -0.1, math.nan])
def test_illegal_plans_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="power"):
        information_needed(bad)
    with pytest.raises(ValueError, match="candidate_share"):
        evidence_size(0.2, 0.1, bad)
    with pytest.raises(ValueError, match="alpha"):
        half_width(0.1, 0.1, bad)

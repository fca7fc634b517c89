"""Before an experiment or a watch starts it is said what it can see."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from predator.statistics.clustered import clustered_difference
from predator.statistics.power import experiment_size, watch_detectable_drop


def test_an_even_split_is_the_textbook_formula() -> None:
    z = float(stats.norm.ppf(0.95) + stats.norm.ppf(0.8))
    assert experiment_size(0.25, 0.02, 0.5) == math.ceil(4 * (z * 0.25 / 0.02) ** 2)


def test_80_20_needs_156_percent_of_the_traffic_of_50_50() -> None:
    ratio = experiment_size(0.25, 0.005, 0.2) / experiment_size(0.25, 0.005, 0.5)
    assert ratio == pytest.approx(1.5625, rel=1e-3)


def test_the_declared_size_has_its_power_in_a_simulated_experiment() -> None:
    rng = np.random.default_rng(9)
    n = experiment_size(0.25, 0.05, 0.2, alpha=0.05, power=0.8)
    b = round(n * 0.2)
    shown = [
        clustered_difference(
            range(n - b), rng.normal(0.8, 0.25, n - b), range(b), rng.normal(0.85, 0.25, b)
        ).lower_bound
        > 0
        for _ in range(2000)
    ]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.03)


def test_a_two_hour_watch_sees_five_percent_at_800_queries_a_look() -> None:
    drop = watch_detectable_drop(800, 12, 0.05, sd=0.25, mean=0.82)
    assert drop == pytest.approx(0.05, abs=0.002)
    assert watch_detectable_drop(200, 12, 0.05, sd=0.25, mean=0.82) == pytest.approx(2 * drop)
    assert watch_detectable_drop(300, 12, 0.20, sd=0.25, mean=0.82) < drop


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_impossible_plans_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="sd"):
        experiment_size(bad, 0.02, 0.2)
    with pytest.raises(ValueError, match="effect_abs"):
        experiment_size(0.2, bad, 0.2)
    with pytest.raises(ValueError, match="share"):
        experiment_size(0.2, 0.02, bad)
    with pytest.raises(ValueError, match="power"):
        experiment_size(0.2, 0.02, 0.2, power=0.01)
    with pytest.raises(ValueError, match="mean"):
        watch_detectable_drop(800, 12, 0.05, sd=0.25, mean=bad)
    with pytest.raises(ValueError, match="queries_per_look"):
        watch_detectable_drop(bad, 12, 0.05, sd=0.25, mean=0.8)

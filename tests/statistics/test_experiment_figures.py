"""The experiment's promises hold in simulation, in short here and in full every night."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import experiment_fraud, experiments
from benchmarks.experiment_rules import RULES, looked, promotes
from benchmarks.experiment_worlds import World, normal_scores, simulated, skewed_scores, summed
from benchmarks.rates import Row
from predator.statistics.cluster_moments import difference, moments


def test_many_experiments_at_once_are_summed_as_one_by_one() -> None:
    """What the figures rest on: sums after each look are those of the searches so far."""
    rng = np.random.default_rng(1)
    at = np.sort(rng.integers(5, size=(3, 40, 4)), axis=2)
    arm, past = rng.random((3, 40)) < 0.4, rng.standard_normal((3, 40))
    values = rng.random((3, 40, 4))
    sides = summed(at, arm, values, past, 5)
    for one in range(3):
        for look in range(5):
            direct = []
            for side in (False, True):
                seen = (at[one] <= look) & (arm[one] == side)[:, None]
                users, codes = np.unique(np.nonzero(seen)[0], return_inverse=True)
                direct.append(moments(codes, values[one][seen], past[one][users]))
            fast = [
                type(s)(*(getattr(s, f)[one, look] for f in s.__dataclass_fields__)) for s in sides
            ]
            for ours, theirs in zip(fast, direct, strict=True):
                for name in ours.__dataclass_fields__:
                    assert getattr(ours, name) == pytest.approx(getattr(theirs, name))
            wanted = difference(*direct, cuped=True)
            found = difference(*fast, cuped=True)
            assert float(found.delta) == pytest.approx(float(wanted.delta), nan_ok=True)


@pytest.mark.parametrize("searches", [1, 6])
def test_equals_are_hardly_ever_promoted(searches: int) -> None:
    """I9 in short: 300 A/A × 84 looks; naive peeking is there for comparison."""
    world = World(skewed_scores(), 3000 // searches, searches, 84, icc=0.3 * (searches > 1))
    a, b = simulated(world, 300, np.random.default_rng(searches))
    at = looked(a, b, 0.03)
    ours = promotes(RULES["Predator (E >= 20)"], at, a, b).any(axis=1).mean()
    naive = promotes(RULES["naive peeking, z > 1.96"], at, a, b).any(axis=1).mean()
    assert ours <= 0.05 < naive


def test_a_gain_is_shown_by_the_searches_that_were_planned() -> None:
    """I10 in short: 80% of gains of 3% by 1,250 queries of the candidate, 850 with CUPED."""
    rng = np.random.default_rng(3)
    plain = World(normal_scores(), 6250, looks=250, gain=0.03)
    for world in (plain, replace(plain, users=4250, rho=0.6)):
        a, b = simulated(world, 250, rng)
        found = promotes(RULES["Predator (E >= 20)"], looked(a, b, 0.03, cuped=world.rho > 0), a, b)
        assert found.any(axis=1).mean() >= 0.80 - 2.6 * math.sqrt(0.16 / 250)


@pytest.mark.parametrize(("pace", "aim"), [("flooding", "document"), ("slow", "arm")])
def test_bought_clicks_buy_no_promotion(pace: str, aim: str) -> None:
    """I22 in short."""
    for share in (0.01, 0.03):
        found = experiment_fraud.experiment(np.random.default_rng(5), pace, aim, share)
        assert found.verdict != "PASS"
        assert found.excluded.quarantined == (share > 0.02)


def kept(rows: list[Row]) -> None:
    assert [one for one in rows if not one.kept] == []


@pytest.mark.nightly
def test_honesty_in_full() -> None:
    kept(experiments.honesty(2000))


@pytest.mark.nightly
def test_power_in_full() -> None:
    kept(experiments.power(2000))


@pytest.mark.nightly
def test_click_fraud_in_full() -> None:
    kept(experiment_fraud.attacks(100))

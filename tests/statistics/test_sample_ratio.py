"""An experiment whose arms leak users is caught before its result is read."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from predator.statistics.sample_ratio import sample_ratio, sequential_sample_ratio

SHARES = {"baseline": 0.8, "candidate": 0.2}


def test_it_is_scipys_chi_square() -> None:
    result = sample_ratio({"baseline": 8100, "candidate": 1900}, SHARES)
    expected = stats.chisquare([8100, 1900], [8000, 2000])
    assert result.chi2 == pytest.approx(float(expected.statistic))
    assert result.p_value == pytest.approx(float(expected.pvalue))


def test_honest_splits_are_rarely_accused() -> None:
    candidates = np.random.default_rng(1).binomial(10_000, 0.2, 5000)
    accused = [
        sample_ratio({"baseline": 10_000 - int(n), "candidate": int(n)}, SHARES).mismatch
        for n in candidates
    ]
    assert np.mean(accused) <= 0.003


def test_a_five_percent_leak_is_caught() -> None:
    rng = np.random.default_rng(2)
    caught = []
    for _ in range(1000):
        candidate = int(rng.binomial(100_000, 0.2))
        leaked = int(rng.binomial(candidate, 0.05))
        users = {"baseline": 100_000 - candidate, "candidate": candidate - leaked}
        caught.append(sample_ratio(users, SHARES).mismatch)
    assert np.mean(caught) >= 0.99


def test_an_empty_arm_is_a_mismatch_and_few_users_are_not_enough() -> None:
    assert sample_ratio({"baseline": 1000}, SHARES).mismatch
    few = sample_ratio({"baseline": 8, "candidate": 2}, SHARES)
    assert not few.mismatch and not few.enough


@pytest.mark.parametrize(
    ("users", "shares", "complaint"),
    [
        ({"baseline": 5, "ghost": 5}, SHARES, "'ghost'"),
        ({}, SHARES, "all zero"),
        ({"baseline": -1, "candidate": 5}, SHARES, "negative"),
        ({"baseline": 5}, {"baseline": 1.0}, "two arms"),
        ({"baseline": 5}, {"baseline": 0.8, "candidate": 0.3}, "sum to 1"),
    ],
)
def test_counts_that_make_no_sense_are_refused(
    users: dict[str, int], shares: dict[str, float], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        sample_ratio(users, shares)


class TestAtEveryLook:
    def test_honest_splits_are_rarely_accused_however_often_one_looks(self) -> None:
        """50 looks at 5,000 users each time: at most 1 in 200 by design."""
        arrived = np.random.default_rng(3).binomial(100, 0.2, (400, 50)).cumsum(axis=1)
        accused = [
            any(
                sequential_sample_ratio(
                    {"baseline": 100 * (look + 1) - int(n), "candidate": int(n)}, SHARES
                ).mismatch
                for look, n in enumerate(row)
            )
            for row in arrived
        ]
        assert np.mean(accused) <= 0.01

    def test_a_five_percent_leak_is_caught(self) -> None:
        rng = np.random.default_rng(4)
        caught = []
        for _ in range(1000):
            candidate = int(rng.binomial(100_000, 0.2))
            leaked = int(rng.binomial(candidate, 0.05))
            users = {"baseline": 100_000 - candidate, "candidate": candidate - leaked}
            caught.append(sequential_sample_ratio(users, SHARES).mismatch)
        assert np.mean(caught) >= 0.99

    def test_an_empty_arm_is_a_mismatch_and_nobody_is_none(self) -> None:
        assert sequential_sample_ratio({"baseline": 1000}, SHARES).mismatch
        nobody = sequential_sample_ratio({"baseline": 0, "candidate": 0}, SHARES)
        assert (nobody.evidence, nobody.mismatch) == (1.0, False)

    def test_an_arm_without_a_share_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no declared share"):
            sequential_sample_ratio({"baseline": 80, "other": 20}, SHARES)

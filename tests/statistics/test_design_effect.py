"""How alike one user's searches are, and how many users there are, measured on traffic."""

from __future__ import annotations

import math

import numpy as np
import pytest

from predator.statistics.covariate import LEAST_USERS, covariate
from predator.statistics.design_effect import clustering


def sticky(icc: float, users: int, searches: int, seed: int = 0) -> tuple[list[int], np.ndarray]:
    rng = np.random.default_rng(seed)
    who = rng.integers(users, size=searches)
    own = math.sqrt(icc) * rng.standard_normal(users)
    return who.tolist(), 0.5 + own[who] + math.sqrt(1 - icc) * rng.standard_normal(searches)


class TestClustering:
    @pytest.mark.parametrize("icc", [0.0, 0.1, 0.3, 0.7])
    def test_finds_how_alike_searches_of_a_user_are(self, icc: float) -> None:
        found = clustering(*sticky(icc, 1500, 6000))
        assert found.icc == pytest.approx(icc, abs=0.05)

    def test_finds_how_many_users_there_are(self) -> None:
        found = clustering(*sticky(0.3, 1500, 2000))
        assert found.population == pytest.approx(1500, rel=0.1)
        assert found.users_for(2000) == pytest.approx(found.users)
        assert found.users_for(1e6) == pytest.approx(found.population)

    def test_the_variance_is_as_many_times_larger_as_it_says(self) -> None:
        """Means of 3,000 searches by 500 users, over and over."""
        means = [sticky(0.3, 500, 3000, seed)[1].mean() for seed in range(400)]
        found = clustering(*sticky(0.3, 500, 3000))
        assert np.var(means) * 3000 == pytest.approx(found.design_effect(3000), rel=0.25)

    def test_searches_that_weigh_as_much_as_independent_ones(self) -> None:
        found = clustering(*sticky(0.3, 500, 3000))
        n = found.searches_for(600)
        assert n / found.design_effect(n) == pytest.approx(600)
        assert found.searches_for(10**6) == math.inf, "so few users never weigh so much"

    def test_users_who_never_came_twice_are_independent(self) -> None:
        found = clustering(range(50), np.linspace(0, 1, 50))
        assert (found.icc, found.population) == (0.0, None)
        assert found.design_effect(1e9) == 1.0
        assert found.searches_for(7.0) == found.users_for(7.0) == 7.0

    def test_users_alike_to_the_last_digit_are_no_error(self) -> None:
        assert clustering([1, 1, 2, 2], [0.5] * 4).icc == 0.0
        assert clustering([1, 1, 2, 2], [0.0, 0.0, 1.0, 1.0]).icc == 1.0

    def test_illegal_input_is_refused(self) -> None:
        for users, values in (([1], [0.1, 0.2]), ([1, 1], [0.1, 0.2]), ([1, 2], [0.1, math.nan])):
            with pytest.raises(ValueError, match=r"users|user|finite"):
                clustering(users, values)


class TestCovariate:
    def test_finds_how_much_the_past_tells(self) -> None:
        found = covariate(*sticky(0.5, 300, 3000))
        # Means of about five searches in each half: 0.5 / (0.5 + 0.5 / 5).
        assert found.rho == pytest.approx(0.83, abs=0.06)
        assert found.variance_reduction == pytest.approx(0.83**2, abs=0.1)
        assert 280 < found.users <= 300

    def test_says_nothing_of_few_users_and_of_users_alike(self) -> None:
        assert covariate(*sticky(0.5, LEAST_USERS - 1, 3000)).rho is None
        assert covariate([n % 200 for n in range(2000)], [0.5] * 2000).rho is None
        assert covariate([], []).variance_reduction == 0.0

    def test_what_tells_the_wrong_way_is_of_no_use(self) -> None:
        who = [n % 200 for n in range(400)]
        values = [n % 2 if n < 200 else 1 - n % 2 for n in range(400)]
        assert covariate(who, values).rho == pytest.approx(-1.0)
        assert covariate(who, values).variance_reduction == 0.0

"""Fusion is tuned on what was retrieved once, and scores as serving would."""

from __future__ import annotations

import numpy as np
import pytest

from predator.domain.release import RetrievalParameters
from predator.learning.measures import score
from predator.learning.retrieval_parameters import GRID, best_setting, rank_with, score_grid
from tests.learning.worlds import World, world
from tests.search.fakes import engine, ids


@pytest.fixture(scope="module")
def small() -> World:
    return world(12, depth=100)


def test_a_setting_ranks_as_a_release_with_it_would(small: World) -> None:
    for setting in (GRID[0], GRID[4], GRID[17], GRID[-1]):
        served = engine(
            small.index,
            fusion=setting.fusion,
            dense_weight=setting.dense_weight,
            title_boost=setting.title_boost,
        )
        rankings = rank_with(small.index, small.examples, setting)
        for query in small.queries:
            assert rankings[query.id] == ids(small.index, served.rank(query.text, 20).rows)


def test_the_grid_holds_the_score_of_every_setting_on_every_query(small: World) -> None:
    grid = score_grid(small.index, small.examples, small.judgments)
    assert grid.shape == (len(GRID), 12)
    for place in (0, 5, 20):
        rankings = rank_with(small.index, small.examples, GRID[place], 10)
        np.testing.assert_array_equal(grid[place], score(small.judgments, rankings).ndcg)


def test_the_best_setting_wins_and_a_tie_goes_to_the_simplest() -> None:
    grid = np.full((len(GRID), 4), 0.5)
    assert best_setting(grid) == GRID[0] == RetrievalParameters(fusion="rrf")
    grid[7] += 1e-12  # rounding is no merit
    assert best_setting(grid) == GRID[0]
    grid[7, 2] = 0.9
    assert best_setting(grid) == GRID[7]


def test_the_grid_names_every_setting_once() -> None:
    assert len(set(GRID)) == len(GRID)
    assert {0.0, 1.0} <= {setting.dense_weight for setting in GRID}

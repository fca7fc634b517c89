"""Fusion is tuned on what was retrieved once, and scores as serving would."""

from __future__ import annotations

import numpy as np
import pytest

from predator.domain.errors import IntegrityError
from predator.domain.release import RetrievalParameters
from predator.learning.measures import score
from predator.learning.retrieval_parameters import (
    GRID,
    RetrievalTrainable,
    best_setting,
    rank_with,
    score_grid,
    tune,
)
from predator.learning.trainable import TrainingSet
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


def silent(_what: str, _done: int, _total: int) -> None:
    pass


class TestLanguages:
    """Forty queries an English encoder serves well, forty that it does not."""

    BASE = RetrievalParameters(language_weights=(("uk", 0.0), ("ru", 0.0)))

    def grid(self, uk: int) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], list[str]]:
        weights = np.asarray([0.5 if s.fusion == "rrf" else s.dense_weight for s in GRID])
        title = np.asarray([s.title_boost for s in GRID])
        english = 0.8 - abs(weights - 0.6) - 0.1 * title
        other = 0.8 - weights - 0.1 * title
        return np.stack([english] * 60 + [other] * uk, axis=1), ["en"] * 60 + ["uk"] * uk

    def test_a_language_that_needs_another_weight_gets_it(self) -> None:
        found = tune(*self.grid(40), self.BASE)
        assert found.asked_in("en").dense_weight == 0.6
        assert found.asked_in("uk").dense_weight == 0.0

    def test_of_a_language_that_is_hardly_asked_the_base_knows_more(self) -> None:
        grid, languages = self.grid(10)
        assert tune(grid, languages, self.BASE).language_weights == self.BASE.language_weights
        assert tune(grid, languages, RetrievalParameters()).language_weights == ()

    def test_an_encoder_that_reads_it_needs_no_weight_of_its_own(self) -> None:
        grid, languages = self.grid(40)
        grid[:, 60:] = grid[:, :40]
        found = tune(grid, languages, self.BASE)
        assert found.language_weights == (("ru", 0.0),)


class TestTolerance:
    """Queries that only stand for real ones move a weight where they show a real difference."""

    def grid(self, best: float, slope: float) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        one = [
            0.4 if s.fusion == "rrf" else 0.6 - slope * abs(s.dense_weight - best)
            - 0.01 * s.title_boost
            for s in GRID
        ]  # fmt: skip
        return np.repeat(np.asarray(one)[:, None], 40, axis=1)

    def test_a_small_difference_leaves_equal_weights(self) -> None:
        found = tune(self.grid(0.2, 0.05), ["en"] * 40, RetrievalParameters(), 0.03)
        assert (found.dense_weight, found.title_boost) == (0.5, 0.0)

    def test_a_large_one_moves_no_further_than_it_must(self) -> None:
        found = tune(self.grid(1.0, 0.5), ["en"] * 40, RetrievalParameters(), 0.03)
        assert found.dense_weight == 1.0
        found = tune(self.grid(1.0, 0.1), ["en"] * 40, RetrievalParameters(), 0.03)
        assert found.dense_weight == 0.9

    def test_what_the_first_release_knew_of_a_language_stays(self) -> None:
        base = RetrievalParameters(language_weights=(("uk", 0.0),))
        found = tune(self.grid(0.2, 0.05), ["uk"] * 40, base, 0.03)
        assert found.asked_in("uk").dense_weight == 0.0
        found = tune(self.grid(0.9, 0.5), ["uk"] * 40, base, 0.03)
        assert found.asked_in("uk").dense_weight == 0.9


class TestTrainable:
    def data(self, small: World) -> TrainingSet:
        return TrainingSet(small.index, small.examples, small.judgments, small.clusters)

    def test_what_is_saved_is_what_is_loaded(self, small: World) -> None:
        trainable, data = RetrievalTrainable(), self.data(small)
        model = trainable.train(data, silent)
        assert trainable.load(trainable.save(model)) == model
        for content in (b"", b"[]", b'{"fusion": "magic"}', b"[" * 100_000):
            with pytest.raises(IntegrityError):
                trainable.load({"retrieval.json": content})

    def test_shallower_is_taken_where_it_ranks_as_well(self, small: World) -> None:
        assert RetrievalTrainable().train(self.data(small), silent).depth == 50

    def test_what_it_explains_adds_up_to_what_it_scores(self, small: World) -> None:
        trainable, data = RetrievalTrainable(), self.data(small)
        for model in (GRID[0], GRID[6], RetrievalParameters(fusion="zsum")):
            for example in small.examples[:3]:
                ranked = trainable.score(model, data, example)
                shares = trainable.explain(model, data, example)
                np.testing.assert_array_equal(shares.rows, ranked.rows)
                np.testing.assert_allclose(shares.values.sum(axis=1), ranked.scores, atol=1e-5)

"""A ranker learns the order that the judgments show, the same one each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning import lambdamart
from predator.learning.lambdamart import (
    MONOTONE,
    Prepared,
    prepare,
    rank,
    stop_early,
    train,
)
from predator.search.features import FEATURES
from predator.search.rerank import Reranker, dump_reranker, load_reranker
from tests.learning.worlds import World, world

DECIDES = FEATURES.index("title_terms_log")


def lessons(
    count: int, seed: int = 0, highest: int = 1, noise: bool = False, prefix: str = "q"
) -> list[Prepared]:
    """Twenty candidates a query; the grade follows one feature, or nothing with ``noise``."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        matrix = rng.standard_normal((20, len(FEATURES))).astype(np.float32)
        column = rng.standard_normal(20) if noise else matrix[:, DECIDES]
        grades = np.zeros(20, np.int64)
        grades[np.argsort(column)[-highest:]] = np.arange(1, highest + 1)
        names = [f"{prefix}{number}-d{i}" for i in range(20)]
        made.append(
            Prepared(
                f"{prefix}{number}", np.arange(len(names)), names, matrix, np.zeros(20), grades, 1.0
            )
        )
    return made


def share_right(data: list[Prepared], rankings: dict[str, list[str]]) -> float:
    best = [one.documents[int(np.argmax(one.grades))] for one in data]
    return float(np.mean([rankings[d.query_id][0] == b for d, b in zip(data, best, strict=True)]))


def test_it_finds_the_feature_that_decides() -> None:
    model = train(lessons(80), trees=40, seed=0, base_weight=0.0)
    unseen = lessons(60, seed=1)
    assert share_right(unseen, rank(unseen, model)) > 0.8


def test_noise_teaches_it_nothing_and_few_trees_are_chosen() -> None:
    fit, held_out = lessons(60, noise=True), lessons(60, seed=2, noise=True)
    model = stop_early(fit, held_out, seed=0, base_weight=0.0)
    unseen = lessons(200, seed=3, noise=True)
    assert share_right(unseen, rank(unseen, model)) == pytest.approx(1 / 20, abs=0.05)


def test_the_same_data_and_seed_give_the_same_model() -> None:
    data = lessons(40)
    one = train(data, trees=15, seed=3, base_weight=0.5)
    assert train(data, trees=15, seed=3, base_weight=0.5) == one
    assert train(data, trees=15, seed=3, base_weight=0.5, threads=2).trees == 15
    assert train(data, trees=15, seed=4, base_weight=0.5).text != one.text
    chosen = [stop_early(data, lessons(20, 9), seed=3, base_weight=0.5) for _ in range(2)]
    assert chosen[0] == chosen[1]


def test_a_model_that_stopped_early_is_one_that_was_given_its_number_of_trees() -> None:
    data, held_out = lessons(40), lessons(30, seed=2)
    stopped = stop_early(data, held_out, seed=3, base_weight=0.5)
    given = train(data, trees=stopped.trees, seed=3, base_weight=0.5)
    assert rank(held_out, stopped) == rank(held_out, given)


def test_missing_values_are_no_obstacle() -> None:
    rng = np.random.default_rng(5)
    data = lessons(80)
    for one in data:
        one.matrix[rng.random(one.matrix.shape) < 0.2] = np.nan
        one.matrix[:, FEATURES.index("cosine")] = np.nan
        one.matrix[:, DECIDES] = np.nan_to_num(one.matrix[:, DECIDES])
    model = train(data, trees=30, seed=0, base_weight=0.0)
    assert share_right(data, rank(data, model)) > 0.7


@pytest.mark.parametrize(
    "data",
    [
        [],
        [replace(one, grades=one.grades * 0) for one in lessons(5)],
        [replace(one, grades=one.grades * 0 + 1) for one in lessons(5)],
        [Prepared("q", np.zeros(0, np.int64), [], np.zeros((0, len(FEATURES)), np.float32),
                  np.zeros(0), np.zeros(0, np.int64), 1.0)],
    ],
    ids=["nothing", "none relevant", "all relevant", "no candidates"],
)  # fmt: skip
def test_queries_without_an_order_to_learn_are_a_clear_error(data: list[Prepared]) -> None:
    with pytest.raises(InputError, match="bring more judgments"):
        train(data, trees=5, seed=0, base_weight=0.0)
    with pytest.raises(InputError, match="bring more judgments"):
        stop_early(data, lessons(5), seed=0, base_weight=0.0)
    with pytest.raises(InputError, match="bring more judgments"):
        stop_early(lessons(5), data, seed=0, base_weight=0.0)


def test_queries_without_an_order_are_passed_over_among_others() -> None:
    dull = [replace(one, grades=one.grades * 0) for one in lessons(5, prefix="dull")]
    data = lessons(30)
    assert train([*data, *dull], trees=5, seed=0, base_weight=0.0) == train(
        data, trees=5, seed=0, base_weight=0.0
    )
    assert not dull[0].teaches
    assert data[0].teaches


def test_a_grade_seen_only_in_held_out_queries_is_allowed() -> None:
    assert stop_early(lessons(20), lessons(20, 1, highest=3), seed=0, base_weight=0.0).trees >= 1


def test_higher_grades_weigh_more() -> None:
    data = lessons(80, highest=3)
    model = train(data, trees=40, seed=0, base_weight=0.0)
    assert share_right(data, rank(data, model)) > 0.8


def test_the_base_score_is_where_the_trees_start() -> None:
    data = [
        replace(one, fused=10.0 * one.grades.astype(np.float64), matrix=one.matrix * 0)
        for one in lessons(20)
    ]
    model = train(data, trees=1, seed=0, base_weight=1.0)
    assert share_right(data, rank(data, model)) == 1.0


def test_lighter_queries_have_less_to_say() -> None:
    upside_down = [
        replace(one, matrix=-one.matrix, weight=0.02) for one in lessons(80, seed=1, prefix="g")
    ]
    data = lessons(80)
    model = train([*data, *upside_down], trees=30, seed=0, base_weight=0.0)
    assert share_right(data, rank(data, model)) > 0.7


def test_a_ranking_has_its_first_k_and_nothing_for_nothing() -> None:
    data = lessons(20)
    model = train(data, trees=3, seed=0, base_weight=0.0)
    rankings = rank(data, model, k=7)
    assert all(len(ranked) == len(set(ranked)) == 7 for ranked in rankings.values())
    assert set(rankings["q3"]) <= set(data[3].documents)
    nothing = replace(data[0], documents=[], matrix=data[0].matrix[:0], fused=np.zeros(0))
    assert rank([nothing], model) == {}


def test_more_evidence_of_a_match_never_lowers_a_score() -> None:
    assert set(MONOTONE) <= set(FEATURES)
    from predator.search.rerank import dump_reranker, load_reranker

    rng = np.random.default_rng(0)
    data = [replace(one, grades=rng.permutation(one.grades)) for one in lessons(60)]
    model = train(data, trees=60, seed=0, base_weight=0.0)
    reranker = load_reranker(dump_reranker(model.text, 0.0))
    base = np.repeat(rng.standard_normal((1, len(FEATURES))), 50, axis=0).astype(np.float32)
    for name, direction in MONOTONE.items():
        sweep = base.copy()
        sweep[:, FEATURES.index(name)] = np.linspace(-3, 3, 50)
        scores = direction * reranker.score(sweep, np.zeros(50, np.float32))
        assert (np.diff(scores) >= -1e-12).all(), name


@pytest.fixture(scope="module")
def small() -> World:
    return world(10)


def test_candidates_are_prepared_under_the_parameters_of_the_release(small: World) -> None:
    parameters = RetrievalParameters(fusion="weighted", dense_weight=0.2, rerank=5)
    prepared = prepare(small.index, small.examples, parameters, weight=0.3)
    for one, example in zip(prepared, small.examples, strict=True):
        assert len(one.documents) == len(one.matrix) == len(one.fused) == len(one.grades) == 5
        assert one.weight == 0.3
        judged = small.judgments[example.query.id]
        assert one.grades.tolist() == [judged.get(d, 0) for d in one.documents]
        assert one.fused.tolist() == sorted(one.fused.tolist(), reverse=True)


def test_judgments_of_documents_that_are_not_indexed_do_not_matter(small: World) -> None:
    from predator.learning.examples import collect
    from tests.search.fakes import HashedEncoder

    judged = {**small.judgments["q0"], "gone": 3}
    (example,) = collect(small.index, HashedEncoder(), small.queries[:1], {"q0": judged})
    assert sorted(example.grade_of.values()) == [1]


def test_the_mean_of_several_models_scores_as_their_mean() -> None:
    data = lessons(12)
    several = lambdamart.train_several(data, trees=7, seed=3, base_weight=2.0)
    each = [
        lambdamart.train(data, trees=7, seed=3 + number, base_weight=2.0)
        for number in range(lambdamart.MODELS)
    ]
    assert several.trees == 7 * lambdamart.MODELS
    one = data[0]
    fused = one.fused.astype(np.float32)

    def loaded(model: lambdamart.Model) -> Reranker:
        found = load_reranker(dump_reranker(model.text, model.base_weight))
        assert isinstance(found, Reranker)
        return found

    mean = np.mean([loaded(model).score(one.matrix, fused) for model in each], axis=0)
    np.testing.assert_allclose(loaded(several).score(one.matrix, fused), mean, atol=1e-9)
    shares = loaded(several).contributions(one.matrix)
    np.testing.assert_allclose(
        shares.sum(axis=1) + 2.0 * fused, mean, atol=1e-6, err_msg="TreeSHAP adds up"
    )

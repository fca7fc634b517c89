"""The portfolio is judged on queries that its candidates have not learnt from."""

from __future__ import annotations

import numpy as np
import pytest

from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.domain.verdicts import Verdict
from predator.learning import lambdamart, retrieval_parameters
from predator.learning.examples import Example, collect
from predator.learning.lambdamart import LambdaMart
from predator.learning.measures import score
from predator.learning.retrieval_parameters import best_setting, rank_with
from predator.learning.trainable import Ranked, TrainingSet
from predator.loop.evaluate import Gates, Measured, evaluate
from predator.loop.train import Budget, Portfolio, Trained, train_portfolio
from predator.search.rerank import load_reranker
from tests.learning.worlds import World, world
from tests.search.fakes import HashedEncoder, engine, ids

GATES = Gates(0.03, -0.02, 0.15, 50, 0.5, 0.05, 0.8)


def trained(one: World, count: int | None = None, **options: object) -> Portfolio:
    examples = one.examples[:count]
    return train_portfolio(
        one.index,
        examples,
        one.judgments,
        one.clusters[:count],
        0,
        **options,  # type: ignore[arg-type]
    )


def named(portfolio: Portfolio, name: str) -> Trained:
    (found,) = (c for c in portfolio.candidates if c.name == name)
    return found


@pytest.fixture(scope="module")
def telling() -> World:
    return world(120)


@pytest.fixture(scope="module")
def portfolio(telling: World) -> Portfolio:
    return trained(telling)


def test_where_a_feature_decides_the_ranker_beats_fusion_out_of_fold(portfolio: Portfolio) -> None:
    assert portfolio.best.name == "lambdamart"
    assert portfolio.best.scores.mean() > named(portfolio, "fusion").scores.mean() + 0.2
    assert [c.scores.mean() for c in portfolio.candidates] == sorted(
        (c.scores.mean() for c in portfolio.candidates), reverse=True
    )


def test_the_submitted_model_serves_what_was_promised(telling: World, portfolio: Portfolio) -> None:
    """Queries never seen, a real engine with the stored bytes: about the score out of fold."""
    best = portfolio.best
    assert best.reranker is not None
    unseen = world(60, seed=9)
    served = engine(
        unseen.index,
        load_reranker(best.reranker),
        fusion=best.retrieval.fusion,
        dense_weight=best.retrieval.dense_weight,
        title_boost=best.retrieval.title_boost,
    )
    answers = {q.id: ids(unseen.index, served.rank(q.text, 10).rows) for q in unseen.queries}
    assert score(unseen.judgments, answers).mean() > 0.9


def test_every_query_is_scored_in_every_row(telling: World, portfolio: Portfolio) -> None:
    for candidate in portfolio.candidates:
        assert candidate.scores.queries == tuple(q.id for q in telling.queries)


def test_training_is_repeatable(telling: World, portfolio: Portfolio) -> None:
    again = trained(telling)
    for one, other in zip(portfolio.candidates, again.candidates, strict=True):
        assert (one.name, one.retrieval, one.reranker) == (
            other.name,
            other.retrieval,
            other.reranker,
        )
        np.testing.assert_array_equal(one.scores.ndcg, other.scores.ndcg)
        assert one.details == other.details


def test_labels_drawn_by_lot_claim_no_gain_on_held_out_queries() -> None:
    noisy = world(160, noise=True, seed=3)
    portfolio = trained(noisy, 100)
    model = load_reranker(named(portfolio, "lambdamart").reranker or b"")
    tuned = named(portfolio, "fusion").retrieval
    held_out = noisy.examples[100:]
    judged = {e.query.id: noisy.judgments[e.query.id] for e in held_out}
    prepared = lambdamart.prepare(noisy.index, held_out, tuned)
    answers = {}
    for one in prepared:
        order = np.argsort(-model.score(one.matrix, one.fused.astype(np.float32)), kind="stable")
        answers[one.query_id] = [one.documents[i] for i in order]
    after = score(judged, answers).ndcg
    before = score(judged, rank_with(noisy.index, held_out, tuned)).ndcg
    evaluation = evaluate(after, before, ["a"] * 60, Measured(1.0, 1.0, 0.01), GATES)
    assert evaluation.verdict is not Verdict.PASS
    assert evaluation.gain is not None
    assert evaluation.gain.ci_low < 0


def test_no_candidate_is_scored_on_what_it_has_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    small = world(30)
    fitted: list[set[str]] = []
    train, choose, rank = lambdamart.train, lambdamart.stop_early, lambdamart.rank
    scored = LambdaMart.score

    def spy_train(data: list[lambdamart.Prepared], **how: object) -> lambdamart.Model:
        fitted.append({one.query_id for one in data})
        return train(data, **how)  # type: ignore[arg-type]

    def spy_choose(
        fit: list[lambdamart.Prepared], held: list[lambdamart.Prepared], **how: object
    ) -> lambdamart.Model:
        assert not {one.query_id for one in fit} & {one.query_id for one in held}
        fitted.append({one.query_id for one in fit})
        return choose(fit, held, **how)  # type: ignore[arg-type]

    def spy_rank(data: list[lambdamart.Prepared], model: lambdamart.Model) -> dict[str, list[str]]:
        assert not {one.query_id for one in data} & fitted[-1]
        return rank(data, model)

    def spy_score(
        self: LambdaMart, model: lambdamart.Model, data: TrainingSet, example: Example
    ) -> Ranked:
        assert example.query.id not in fitted[-1]
        return scored(self, model, data, example)

    monkeypatch.setattr(LambdaMart, "score", spy_score)
    monkeypatch.setattr(lambdamart, "train", spy_train)
    monkeypatch.setattr(lambdamart, "stop_early", spy_choose)
    monkeypatch.setattr(lambdamart, "rank", spy_rank)
    trained(small)
    assert len(fitted[-1]) == 30  # what is submitted has learnt from everything


def test_fusion_is_never_tuned_on_the_fold_it_is_scored_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = world(30)
    seen: list[int] = []
    choose = best_setting

    def spy(grid: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> RetrievalParameters:
        seen.append(grid.shape[1])
        return choose(grid)

    monkeypatch.setattr(retrieval_parameters, "best_setting", spy)
    trained(small)
    assert seen == [20, 20, 20, 30]


def test_clusters_are_never_split_between_learning_and_scoring(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = world(40)
    clusters = np.arange(40) // 4
    seen: list[set[str]] = []
    rank, scored = lambdamart.rank, LambdaMart.score

    def spy(data: list[lambdamart.Prepared], model: lambdamart.Model) -> dict[str, list[str]]:
        seen.append({one.query_id for one in data})
        return rank(data, model)

    def spy_score(
        self: LambdaMart, model: lambdamart.Model, data: TrainingSet, example: Example
    ) -> Ranked:
        seen.append({one.query.id for one in data.examples})
        return scored(self, model, data, example)

    monkeypatch.setattr(lambdamart, "rank", spy)
    monkeypatch.setattr(LambdaMart, "score", spy_score)
    train_portfolio(small.index, small.examples, small.judgments, clusters, 0)
    for part in seen:
        held = {int(name[1:]) // 4 for name in part}
        assert all(f"q{4 * c + i}" in part for c in held for i in range(4))


def test_generated_queries_are_learnt_from_and_never_scored() -> None:
    small = world(30)
    made = world(30, seed=5)
    queries = made.queries[:10]
    judgments = {f"gen-{q.id}": made.judgments[q.id] for q in queries}
    renamed = [type(q)(f"gen-{q.id}", q.text) for q in queries]
    generated = collect(small.index, HashedEncoder(), renamed, judgments, 15)
    portfolio = trained(small, generated=generated)
    row = named(portfolio, "lambdamart+generated")
    assert row.scores.queries == tuple(q.id for q in small.queries)
    assert row.details["generated"] == 10
    assert named(portfolio, "lambdamart").details["generated"] == 0


@pytest.mark.parametrize(
    ("grade", "clusters"),
    [(0, None), (1, np.zeros(30, np.int64)), (1, np.arange(30) % 2)],
    ids=["nothing relevant", "one cluster", "two clusters"],
)
def test_too_little_to_learn_from_is_a_clear_error(
    grade: int, clusters: np.ndarray[tuple[int], np.dtype[np.int64]] | None
) -> None:
    small = world(30)
    judgments = {q: dict.fromkeys(found, grade) for q, found in small.judgments.items()}
    examples = collect(small.index, HashedEncoder(), small.queries, judgments, 15)
    with pytest.raises(InputError, match="more judgments"):
        train_portfolio(
            small.index,
            examples,
            judgments,
            small.clusters if clusters is None else clusters,
            0,
        )


class TestBudget:
    def test_what_would_take_too_long_is_left_out_with_its_reason(self) -> None:
        now = iter(range(0, 10_000, 10))
        portfolio = trained(world(30), budget=Budget(90.0), clock=lambda: float(next(now)))
        assert [one.name for one in portfolio.candidates] == ["fusion"]
        assert "it would take" in portfolio.left_out["lambdamart"]

    def test_money_is_a_budget_too(self) -> None:
        assert Budget(600, usd=0.01, cpu_hour_usd=0.36).left(20, 2) == pytest.approx(30)
        assert Budget(600, usd=0.01, cpu_hour_usd=0.0).left(20, 2) == 580

    def test_without_a_budget_nothing_but_the_cheapest_is_trained(self) -> None:
        portfolio = trained(world(30), budget=Budget(0.0))
        assert portfolio.best.name == "fusion"
        assert set(portfolio.left_out) == {"lambdamart"}


def test_without_judgments_no_trees_are_grown(small_world: World) -> None:
    portfolio = trained(small_world, rerankers=False)
    assert [one.name for one in portfolio.candidates] == ["fusion"]
    assert "no judgments" in portfolio.left_out["lambdamart"]


@pytest.fixture
def small_world() -> World:
    return world(30)

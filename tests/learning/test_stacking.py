"""A cross-encoder's scores are learnt from only where it had not seen the question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from predator.domain.errors import InputError
from predator.domain.release import RetrievalParameters
from predator.learning import cross_encoder
from predator.learning.cross_encoder import Plan
from predator.learning.cross_encoder_ranker import CrossEncoderRanker
from predator.learning.lambdamart import prepare, rank, train
from predator.learning.stacking import (
    Lessons,
    Stacked,
    blend_ndcg,
    choose_weight,
    make_lessons,
    scores_by_id,
    split_pairs,
    train_stacked,
    with_scores,
)
from predator.learning.trainable import TrainingSet
from predator.search.cross_encoder import passage
from predator.search.features import FEATURES
from predator.search.rankers import Named, standardised
from predator.search.rerank import dump_reranker, load_reranker
from tests.learning.pair_worlds import answered, tiny_source
from tests.learning.worlds import World, world
from tests.search.pair_models import Objects, exported

LIVE = RetrievalParameters(fusion="zsum")
DEPTH = 12


@pytest.fixture(scope="module")
def small() -> World:
    return world(30)


@pytest.fixture(scope="module")
def lessons(small: World) -> Lessons:
    return make_lessons(
        small.index, small.examples[:20], np.arange(20), LIVE, seed=0, depth=DEPTH,
        generated=small.examples[20:],
    )  # fmt: skip


def knowing(lessons: Lessons, sign: float = 1.0) -> Stacked:
    """Out-of-fold scores of somebody who knows the answers (or with -1: their opposite)."""
    scores = [
        np.asarray([sign * one.grades.get(text, 0) for text in one.candidates], float)
        if one.group >= 0
        else np.full(len(one.candidates), np.nan)
        for one in lessons.questions
    ]
    return Stacked({}, scores, [])


def test_lessons_hold_the_live_candidates_and_all_judgments(small: World, lessons: Lessons) -> None:
    assert len(lessons.questions) == 30
    for one, example in zip(lessons.questions, small.examples, strict=True):
        found = example.refused(LIVE).take(DEPTH)
        texts = [passage(small.index.documents[row]) for row in found.rows.tolist()]
        assert [lessons.texts[i] for i in one.candidates] == texts
        assert list(one.fused) == sorted(one.fused, reverse=True)
        assert list(one.grades.values()) == [1]
        assert {target for _, target, _ in one.pairs} == {0.0, 1.0}
    assert [one.group for one in lessons.questions] == [*range(20), *[-1] * 10]
    assert {weight for one in lessons.questions[20:] for _, _, weight in one.pairs} == {0.3}
    assert len(set(lessons.texts)) == len(lessons.texts)


def test_held_out_questions_are_whole_and_judged(lessons: Lessons) -> None:
    pairs = split_pairs(lessons, np.full(30, True), seed=0)
    learnt, held = ({one.query for one in part} for part in (pairs.train, pairs.dev))
    assert held
    assert not learnt & held
    assert held <= {one.query for one in lessons.questions if one.group >= 0}
    assert {one.query for one in lessons.questions if one.group < 0} <= learnt
    without = split_pairs(lessons, np.arange(30) >= 10, seed=0)
    left_out = {one.query for one in lessons.questions[:10]}
    assert not left_out & {one.query for one in (*without.train, *without.dev)}


def test_the_share_of_a_good_ranker_is_found_and_a_bad_one_gets_none(lessons: Lessons) -> None:
    weight, table = choose_weight(lessons, knowing(lessons))
    assert weight > 0
    assert table[weight] == max(table.values()) > table[0.0]
    assert choose_weight(lessons, knowing(lessons, -1.0))[0] == 0.0


def test_no_share_is_the_live_order(small: World, lessons: Lessons) -> None:
    silent = Stacked({}, [np.full(len(q.candidates), np.nan) for q in lessons.questions], [])
    live = blend_ndcg(lessons, silent, 0.0)
    assert len(live) == 20  # generated questions are never scored
    assert blend_ndcg(lessons, silent, 0.5).tolist() == live.tolist()
    assert choose_weight(lessons, silent)[0] == 0.0


def test_trees_learn_from_the_columns_and_serve_with_them(small: World, lessons: Lessons) -> None:
    examples = small.examples[:20]
    scores = scores_by_id(small.index, examples, LIVE, knowing(lessons))
    plain = prepare(small.index, examples, LIVE)
    stacked = with_scores(plain, scores, "cross_encoder")
    for before, after in zip(plain, stacked, strict=True):
        np.testing.assert_array_equal(after.matrix[:, : len(FEATURES)], before.matrix)
        column = after.matrix[:, len(FEATURES)]
        assert after.matrix.shape[1] == len(after.names) == len(FEATURES) + 1
        wanted = standardised(after.grades[:DEPTH].astype(float))
        np.testing.assert_array_equal(column[:DEPTH], wanted.astype(np.float32))
        assert np.isnan(column[DEPTH:]).all()
    model = train(stacked, trees=20, seed=0, base_weight=0.0)
    ranked = rank(stacked, model)
    best = [one.documents[int(np.argmax(one.grades))] for one in stacked]
    first = [ranked[one.query_id][0] for one in stacked]
    assert np.mean([a == b for a, b in zip(best, first, strict=True)]) > 0.9

    objects = Objects()
    for data in exported().files.values():
        objects.put(data)
    named = Named("cross_encoder", exported().manifest.digest, DEPTH, 60_000.0)
    served = load_reranker(dump_reranker(model.text, model.base_weight, [named]), objects.get)
    assert list(served.names) == list(stacked[0].names)


def test_more_of_another_rankers_evidence_never_lowers_a_score(
    small: World, lessons: Lessons
) -> None:
    import lightgbm

    examples = small.examples[:20]
    backwards = knowing(lessons, -1.0)
    scores = scores_by_id(small.index, examples, LIVE, backwards)
    stacked = with_scores(prepare(small.index, examples, LIVE), scores, "cross_encoder")
    text = train(stacked, trees=20, seed=0, base_weight=0.0).text
    sweep = np.repeat(stacked[0].matrix[:1], 30, axis=0)
    sweep[:, len(FEATURES)] = np.linspace(-3, 3, 30)
    found = np.asarray(lightgbm.Booster(model_str=text).predict(sweep, num_threads=1))
    assert (np.diff(found) >= 0).all()


def test_too_few_different_questions_are_a_clear_error(lessons: Lessons) -> None:
    alike = Lessons(lessons.texts, [replace(one, group=0) for one in lessons.questions[:20]])
    with pytest.raises(InputError, match="do not make 2 groups"):
        train_stacked(tiny_source(), alike, Plan(seed=0))
    with pytest.raises(InputError, match="do not make 2 groups"):
        train_stacked(tiny_source(), Lessons([], []), Plan(seed=0))


# -- with torch -------------------------------------------------------------------------

PLAN = Plan(
    seed=0, epochs=1, learning_rate=3e-3, max_tokens=16, max_query_tokens=4, precision="float32"
)


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_folds_are_scored_by_models_that_have_not_seen_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: list[set[str]] = []
    train_one = cross_encoder.train

    def noted(source: Any, pairs: Any, plan: Any, **more: Any) -> Any:
        seen.append({one.document for one in (*pairs.train, *pairs.dev) if one.target == 1})
        return train_one(source, pairs, plan, **more)

    monkeypatch.setattr(cross_encoder, "train", noted)
    given = answered(60)
    stacked = train_stacked(tiny_source(), given, replace(PLAN, epochs=8), checkpoints=tmp_path)
    assert len(seen) == len(stacked.folds) + 1 == 3
    assert all(np.isfinite(scores).all() for scores in stacked.scores)
    weight, table = choose_weight(given, stacked)
    assert weight > 0
    assert table[weight] > table[0.0] + 0.2
    # The last has learnt from all questions, the others from one side each.
    assert seen[2] == seen[0] | seen[1]
    again = train_stacked(tiny_source(), given, replace(PLAN, epochs=8), checkpoints=tmp_path)
    assert len(seen) == 3  # nothing is trained twice
    assert again.files == stacked.files
    for one, other in zip(again.scores, stacked.scores, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_it_has_the_shape_of_a_trainable(small: World) -> None:
    data = TrainingSet(small.index, small.examples, small.judgments, small.clusters, retrieval=LIVE)
    ranker = CrossEncoderRanker(tiny_source(), PLAN, depth=5)
    model = ranker.train(data, lambda _what, _done, _total: None)
    back = ranker.load(ranker.save(model))
    example = small.examples[0]
    ranked = ranker.score(back, data, example)
    assert ranked.rows.tolist() == example.refused(LIVE).take(5).rows.tolist()
    assert ranked.scores.tolist() == ranker.score(model, data, example).scores.tolist()
    told = ranker.explain(back, data, example)
    assert told.values.shape == (5, len(told.names))
    assert list(told.names) == example.query.text.split()

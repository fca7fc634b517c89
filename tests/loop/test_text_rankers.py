"""A cross-encoder becomes candidates that are scored where they had not looked."""

from __future__ import annotations

import json

import numpy as np
import pytest

from predator.domain.errors import InputError
from predator.domain.release import Release, RetrievalParameters
from predator.learning.measures import score
from predator.learning.stacking import Stacked
from predator.learning.trainable import TrainingSet
from predator.loop.training.text_rankers import SHALLOW, Serving, text_rankers
from predator.search.engine import Engine
from predator.search.rankers import Named
from predator.search.rerank import load_reranker, parts_of_reranker
from tests.learning.worlds import World, world
from tests.search.fakes import HashedEncoder
from tests.search.pair_models import Objects, exported

LIVE = RetrievalParameters(fusion="zsum", rerank=20)
SERVING = Serving(depth=12, budget_ms=60_000.0)


@pytest.fixture(scope="module")
def small() -> World:
    return world(100, noise=True)


def data_of(small: World) -> TrainingSet:
    return TrainingSet(small.index, small.examples, small.judgments, small.clusters, retrieval=LIVE)


def scored(small: World, sign: float) -> Stacked:
    """By somebody who knows the answers, or with -1 by somebody who puts them last."""
    scores = [
        sign * one.grades_of(one.refused(LIVE).take(SERVING.depth)).astype(float)
        for one in small.examples
    ]
    return Stacked(exported().files, scores, [])


def test_a_good_cross_encoder_makes_a_good_blend_and_good_trees(small: World) -> None:
    objects = Objects()
    blend, trees = text_rankers(data_of(small), scored(small, 1.0), objects.put, SERVING)
    assert (blend.name, trees.name) == ("cross_encoder", "lambdamart+cross_encoder")
    live = {one.query.id: one.ids(small.index, one.best(LIVE, 20)) for one in small.examples}
    before = score(small.judgments, live).mean()
    for one in (blend, trees):
        assert one.retrieval == LIVE
        assert one.scores.mean() > before + 0.1
        assert one.reranker is not None
        assert parts_of_reranker(one.reranker) == (exported().manifest.digest,)
        release = Release("e", "s", "r", LIVE, "x")
        reranker = load_reranker(one.reranker, objects.get)
        engine = Engine(release, small.index, HashedEncoder(), reranker)
        assert len(engine.rank(small.queries[0].text, 5).rows) == 5
    named = Named(**json.loads(blend.reranker or b"")["rankers"][0])
    assert (named.depth, named.budget_ms) == (12, 60_000.0)
    assert 0 < blend.details["weight"] < 1


def test_a_shallower_one_has_a_name_of_its_own_and_reads_less(small: World) -> None:
    shallow = Serving(depth=3, budget_ms=60_000.0)
    found = text_rankers(data_of(small), scored(small, 1.0), Objects().put, shallow, name=SHALLOW)
    deep = text_rankers(data_of(small), scored(small, 1.0), Objects().put, SERVING)
    assert [one.name for one in found] == [SHALLOW, f"lambdamart+{SHALLOW}"]
    assert [one.details["depth"] for one in found] == [3.0, 3.0]
    assert found[0].scores.mean() < deep[0].scores.mean()  # it has seen less that could be moved


def test_a_bad_one_is_no_blend(small: World) -> None:
    (trees,) = text_rankers(data_of(small), scored(small, -1.0), Objects().put, SERVING)
    assert trees.name == "lambdamart+cross_encoder"


def test_too_few_groups_are_a_clear_error(small: World) -> None:
    data = TrainingSet(
        small.index, small.examples, small.judgments, np.zeros(100, np.int64), retrieval=LIVE
    )
    with pytest.raises(InputError, match="do not make 3 groups"):
        text_rankers(data, scored(small, 1.0), Objects().put, SERVING)

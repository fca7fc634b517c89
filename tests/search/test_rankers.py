"""A reranker that reads other rankers orders what they have read, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from predator.domain.documents import Document
from predator.domain.errors import InputError, IntegrityError
from predator.search.cross_encoder import passage
from predator.search.cross_encoder_files import keep_cross_encoder
from predator.search.features import FEATURES
from predator.search.rankers import Asked, Named, Ranker, blended, columns_of, standardised
from predator.search.rerank import (
    Blend,
    Reranker,
    dump_blend,
    dump_reranker,
    load_reranker,
    parts_of_reranker,
)
from tests.search.fakes import documents, engine, indexed
from tests.search.pair_models import Objects, exported

DIGEST = "ab" * 32
NAMED = Named("cross_encoder", DIGEST, 3, 50.0)
ASKED = Asked("read", [Document(f"d{i}", "t", "x" * i) for i in range(5)])
COLUMNS = [*FEATURES, "cross_encoder_z"]


class ByLength:
    """Longer texts are better; it reads ``most`` of them where it is held to a time."""

    def __init__(self, most: int = 100) -> None:
        self._most = most

    def score(
        self, query: str, documents: Sequence[str], *, budget_ms: float | None = None
    ) -> NDArray[np.float64]:
        scores = np.asarray([float(len(text)) for text in documents])
        if budget_ms is not None:
            scores[self._most :] = np.nan
        return scores


def trained(names: Sequence[str] = COLUMNS, decides: str = "cross_encoder_z") -> str:
    """LightGBM's text of trees that follow one column."""
    import lightgbm

    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((600, len(names)))
    label = (matrix[:, list(names).index(decides)] > 0.8).astype(int)
    data = lightgbm.Dataset(matrix, label=label, group=[20] * 30, feature_name=list(names))
    parameters = {"objective": "lambdarank", "verbosity": -1, "num_threads": 1, "num_leaves": 7}
    text: str = lightgbm.train(parameters, data, num_boost_round=10).model_to_string()
    return text


finite = st.floats(-1e3, 1e3)


@given(
    st.lists(st.tuples(finite, st.one_of(finite, st.just(float("nan")))), min_size=1, max_size=30),
    st.floats(0, 1),
)
def test_what_was_not_read_follows_in_fused_order(
    rows: list[tuple[float, float]], weight: float
) -> None:
    rows = sorted(rows, key=lambda row: -row[0])
    fused, scores = (np.asarray(column) for column in zip(*rows, strict=True))
    mixed = blended(fused, scores, weight)
    assert np.isfinite(mixed).all()
    order = np.argsort(-mixed, kind="stable")
    read = np.isfinite(scores)
    if read.any():
        assert read[order[: int(read.sum())]].all()
    left = [i for i in order.tolist() if not read[i]]
    assert left == sorted(left)


@given(st.lists(finite, min_size=2, max_size=20))
def test_all_or_nothing_of_a_blend_is_one_of_the_two_orders(values: list[float]) -> None:
    fused = np.sort(np.asarray(values))[::-1].copy()
    scores = np.random.default_rng(0).permutation(len(values)).astype(float)
    assert np.argsort(-blended(fused, scores, 1.0)).tolist() == np.argsort(-scores).tolist()
    mixed = blended(fused, scores, 0.0)
    assert (np.diff(mixed) <= 1e-12).all()


def test_columns_keep_what_is_missing_missing() -> None:
    scores = np.asarray([1.0, np.nan, 3.0, np.nan])
    columns = columns_of([scores, scores * np.nan])
    assert columns.dtype == np.float32
    np.testing.assert_array_equal(columns[:, 0], np.asarray([-1, np.nan, 1, np.nan], np.float32))
    assert np.isnan(columns[:, 1]).all()
    assert standardised(np.full(3, 7.0)).tolist() == [0, 0, 0]


def test_a_model_of_another_scale_gives_the_same_columns() -> None:
    scores = np.random.default_rng(0).normal(size=20)
    np.testing.assert_allclose(
        columns_of([scores]), columns_of([3.0 * scores - 7.0]), rtol=1e-5, atol=1e-6
    )


def test_a_ranker_reads_its_depth_and_no_further() -> None:
    scores = Ranker(NAMED, ByLength()).score(ASKED)
    assert scores[:3].tolist() == [len(passage(d)) for d in ASKED.documents[:3]]
    assert np.isnan(scores[3:]).all()


def test_an_evaluation_can_leave_it_the_time_it_needs() -> None:
    assert np.isfinite(Ranker(NAMED, ByLength(1)).score(ASKED)).sum() == 1
    assert np.isfinite(Ranker(NAMED, ByLength(1), budgeted=False).score(ASKED)).sum() == 3


def test_a_blend_orders_by_both_and_explains_both() -> None:
    blend = Blend(Ranker(replace(NAMED, depth=5), ByLength(4)), 0.25)
    matrix, fused = np.zeros((5, len(FEATURES)), np.float32), np.linspace(1, 0, 5, dtype=np.float32)
    scores = blend.score(matrix, fused, ASKED)
    shares = blend.contributions(matrix, fused, ASKED)
    assert blend.names == ("fused", "cross_encoder")
    np.testing.assert_allclose(shares.sum(axis=1)[:4], scores[:4])
    assert (shares[4] == 0).all()
    assert scores[4] == scores[:4].min() - 1


def test_trees_see_the_columns_after_the_features() -> None:
    import lightgbm

    text = trained()
    ranker = Ranker(replace(NAMED, depth=5), ByLength(4))
    model = Reranker(lightgbm.Booster(model_str=text), 0.5, COLUMNS, (ranker,))
    matrix = np.random.default_rng(1).standard_normal((5, len(FEATURES))).astype(np.float32)
    fused = np.ones(5, np.float32)
    whole = np.concatenate([matrix, columns_of([ranker.score(ASKED)])], axis=1)
    booster = lightgbm.Booster(model_str=text)
    np.testing.assert_array_equal(
        model.score(matrix, fused, ASKED), np.asarray(booster.predict(whole, num_threads=1)) + 0.5
    )
    shares = model.contributions(matrix, fused, ASKED)
    assert shares.shape == (5, len(COLUMNS) + 1)
    assert np.abs(shares[:, :-1]).sum(axis=0).argmax() == len(FEATURES)
    with pytest.raises(InputError, match="has to be told what was asked"):
        model.score(matrix, fused)


@pytest.fixture(scope="module")
def store() -> tuple[Objects, Named]:
    objects = Objects()
    digest = keep_cross_encoder(objects.put, exported().files)
    return objects, Named("cross_encoder", digest, 20, 60_000.0)


@pytest.mark.parametrize("kind", ["blend", "trees"])
def test_a_release_with_a_cross_encoder_answers(store: tuple[Objects, Named], kind: str) -> None:
    objects, named = store
    index = indexed(documents(60, seed=8))
    data = dump_blend(named, 1.0) if kind == "blend" else dump_reranker(trained(), 0.0, [named])
    assert parts_of_reranker(data) == (named.digest,)
    one = engine(index, load_reranker(data, objects.get), rerank=20)
    query, found = one.candidates("sparse matrix norm")
    head = found.take(20)
    texts = [passage(index.documents[row]) for row in head.rows.tolist()]
    scores = exported().encoder.score(query.text, texts)
    ranking = one.rank(query.text, 20)
    assert sorted(ranking.rows.tolist()) == sorted(head.rows.tolist())
    if kind == "blend":
        wanted = head.rows[np.argsort(-scores, kind="stable")]
        assert ranking.rows.tolist() == wanted.tolist()
    shares = one.explain([query.text])
    assert max(shares, key=lambda name: shares[name]).startswith("cross_encoder")


def test_without_other_rankers_the_file_is_what_it_always_was() -> None:
    data = dump_reranker("trees", 1.0)
    assert json.loads(data)["format"] == "predator-lambdamart/1"
    assert "rankers" not in json.loads(data)
    assert parts_of_reranker(data) == ()


def changed(data: bytes, **values: Any) -> bytes:
    whole = json.loads(data)
    for name, value in values.items():
        if value is ...:
            del whole[name]
        else:
            whole[name] = value
    return json.dumps(whole).encode()


GOOD = NAMED.to_json()


@pytest.mark.parametrize(
    "rankers",
    [
        ..., None, [], {}, "x", [None], [GOOD] * 2, [{**GOOD, "more": 1}],
        [{**GOOD, "name": "Bm 25"}], [{**GOOD, "name": "bm25"}],
        [{**GOOD, "name": 5}], [{**GOOD, "digest": "ab"}],
        [{**GOOD, "digest": "../" * 20}], [{**GOOD, "depth": 0}], [{**GOOD, "depth": True}],
        [{**GOOD, "depth": 10**9}], [{**GOOD, "budget_ms": 0}], [{**GOOD, "budget_ms": "5"}],
        [{**GOOD, "budget_ms": float("nan")}], [{**GOOD, "name": f"r{i}"} for i in range(5)],
    ],
)  # fmt: skip
@pytest.mark.parametrize("data", [dump_blend(NAMED, 0.5), dump_reranker("t", 0.0, [NAMED])])
def test_rankers_that_no_release_can_name_are_refused(rankers: object, data: bytes) -> None:
    def fetch(digest: str) -> bytes:
        raise AssertionError(f"{digest} was fetched")

    with pytest.raises(InputError):
        load_reranker(changed(data, rankers=rankers), fetch)


@pytest.mark.parametrize("weight", [..., None, "0.5", -0.1, 1.1, float("nan"), [0.5]])
def test_a_weight_that_is_no_share_is_refused(weight: object) -> None:
    with pytest.raises(InputError):
        load_reranker(changed(dump_blend(NAMED, 0.5), weight=weight), lambda _: b"")


def test_a_missing_model_fails_closed(store: tuple[Objects, Named]) -> None:
    _, named = store
    for data in (dump_blend(named, 0.5), dump_reranker(trained(), 0.0, [named])):
        with pytest.raises(InputError, match="no store"):
            load_reranker(data)
        with pytest.raises(IntegrityError, match="missing"):
            load_reranker(data, Objects().get)


def test_columns_of_other_rankers_than_it_names_are_refused() -> None:
    data = changed(dump_reranker("trees", 0.0, [NAMED]), features=[*FEATURES, "other_z"])
    with pytest.raises(InputError, match="other features"):
        load_reranker(data, Objects().get)
    plain = changed(dump_reranker("trees", 0.0), features=COLUMNS)
    with pytest.raises(InputError, match="other features"):
        load_reranker(plain, Objects().get)

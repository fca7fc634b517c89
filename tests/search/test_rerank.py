"""A model file is either the model that was trained, or refused in one line. Never a crash."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from predator.domain.errors import InputError
from predator.learning.lambdamart import Model, Prepared, train
from predator.search.features import FEATURES
from predator.search.rerank import dump_reranker, load_reranker
from predator.search.trees import MOST_LEAVES, canonical_model

WIDTH = len(FEATURES)


def lessons(queries: int = 40) -> list[Prepared]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(queries):
        matrix = rng.standard_normal((30, WIDTH)).astype(np.float32)
        grades = (matrix[:, 4] + 0.3 * matrix[:, 9] > 1).astype(np.int64)
        matrix[rng.random(30) < 0.3, 11] = np.nan  # vectors still missing
        matrix[grades > 0, 14] = np.nan
        names = [f"d{i}" for i in range(30)]
        made.append(
            Prepared(
                f"q{number}",
                np.arange(len(names)),
                names,
                matrix,
                matrix[:, 0].astype(np.float64),
                grades,
                1.0,
            )
        )
    return made


@pytest.fixture(scope="module")
def model() -> Model:
    return train(lessons(), trees=12, seed=0, base_weight=0.0)


@pytest.fixture(scope="module")
def matrix() -> NDArray[np.float32]:
    values = np.random.default_rng(1).standard_normal((200, WIDTH)).astype(np.float32)
    values[::7, 4] = np.nan
    values[::3, 14] = np.nan
    return values


def test_a_model_comes_back_as_it_was(model: Model, matrix: NDArray[np.float32]) -> None:
    import lightgbm

    data = dump_reranker(model.text, 2.0)
    fused = np.linspace(0, 1, 200).astype(np.float32)
    reranker = load_reranker(data)
    booster = lightgbm.Booster(model_str=model.text)
    np.testing.assert_array_equal(
        reranker.score(matrix, fused), 2.0 * fused.astype(np.float64) + booster.predict(matrix)
    )
    assert "inf" in model.text  # a split between what is missing and all the rest
    np.testing.assert_array_equal(
        reranker.contributions(matrix), booster.predict(matrix, pred_contrib=True)
    )
    assert dump_reranker(model.text, 2.0) == data


def test_contributions_and_base_make_the_score(model: Model, matrix: NDArray[np.float32]) -> None:
    reranker = load_reranker(dump_reranker(model.text, 0.0))
    shares = reranker.contributions(matrix)
    assert shares.shape == (200, WIDTH + 1)
    np.testing.assert_allclose(
        shares.sum(axis=1), reranker.score(matrix, np.zeros(200, np.float32)), atol=1e-9
    )


def test_what_is_read_is_what_is_written_again(model: Model) -> None:
    once = canonical_model(model.text, FEATURES)
    assert canonical_model(once, FEATURES) == once
    assert once.count("\nTree=") == 12


def test_a_tree_that_is_a_single_leaf_is_a_tree() -> None:
    flat = [
        Prepared(one.query_id, one.rows, one.documents, one.matrix * 0, one.fused, one.grades, 1.0)
        for one in lessons(4)
    ]
    model = train(flat, trees=2, seed=0, base_weight=1.0)
    reranker = load_reranker(dump_reranker(model.text, 1.0))
    fused = np.asarray([3.0, 1.0], np.float32)
    scores = reranker.score(np.zeros((2, WIDTH), np.float32), fused)
    assert scores[0] - scores[1] == pytest.approx(2.0)


def changed(trained: Model, /, **values: object) -> bytes:
    whole = json.loads(dump_reranker(trained.text, 1.0))
    return json.dumps({**whole, **values}).encode()


def test_other_features_are_refused(model: Model) -> None:
    refused: list[object] = [
        [*FEATURES[1:], FEATURES[0]],
        list(FEATURES[:-1]),
        [],
        "bm25",
        5,
        None,
        {},
    ]
    for names in refused:
        with pytest.raises(InputError, match="other features"):
            load_reranker(changed(model, features=names))
    with pytest.raises(InputError, match="other features"):
        load_reranker(changed(model, format="predator-lambdamart/0"))
    renamed = model.text.replace("feature_names=bm25 ", "feature_names=bm26 ")
    with pytest.raises(InputError, match="trees cannot be read"):
        load_reranker(changed(model, model=renamed))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"{}",
        b"[]",
        b"null",
        b"5",
        b'"text"',
        b"[" * 100_000,
        b'{"format": 1',
        b'{"format":"predator-lambdamart/1","features":[],"model":""}',
    ],
    ids=range(10),
)
def test_garbage_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(InputError) as refused:
        load_reranker(data)
    assert "\n" not in str(refused.value)
    assert "train it again" in str(refused.value)


@pytest.mark.parametrize("weight", ["x", None, [], "NaN", float("nan"), float("inf"), 10**400])
def test_a_base_weight_that_is_no_number_is_refused(model: Model, weight: object) -> None:
    with pytest.raises(InputError):
        load_reranker(changed(model, base_weight=weight))


@pytest.mark.parametrize("text", [None, 5, "", "tree", "tree\n\nend of trees\n", ["tree"]])
def test_a_model_that_is_no_text_of_trees_is_refused(model: Model, text: object) -> None:
    with pytest.raises(InputError):
        load_reranker(changed(model, model=text))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_class", "7"),
        ("num_tree_per_iteration", "3"),
        ("max_feature_idx", "100000000"),
        ("objective", "binary sigmoid:1"),
        ("num_leaves", "0"),
        ("num_leaves", "1000000"),
        ("num_leaves", str(MOST_LEAVES + 1)),
        ("num_cat", "5"),
        ("is_linear", "1"),
        ("split_feature", "99"),
        ("split_feature", "-5"),
        ("left_child", "500"),
        ("left_child", "0 0 0 0 0 0 0 0 0 0 0 0 0 0"),
        ("decision_type", "1"),
        ("threshold", "nan"),
        ("leaf_value", "inf"),
        ("leaf_value", "1e999"),
        ("leaf_value", "1_0"),
        ("leaf_value", "١"),
        ("shrinkage", ""),
    ],
)
def test_a_line_that_lies_is_refused(model: Model, name: str, value: str) -> None:
    text = re.sub(rf"(?m)^{name}=.*$", f"{name}={value}", model.text)
    with pytest.raises(InputError, match="trees cannot be read"):
        load_reranker(dump_reranker(text, 1.0))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("split_feature", str(WIDTH)),
        ("split_feature", "-1"),
        ("left_child", "7"),
        ("right_child", "-1"),
        ("decision_type", "1"),
        ("decision_type", "14"),
        ("decision_type", "-2"),
        ("threshold", "nan"),
        ("leaf_value", "inf"),
        ("leaf_value", "0x10"),
    ],
)
def test_one_number_that_lies_is_refused(model: Model, name: str, value: str) -> None:
    text = re.sub(rf"(?m)^{name}=[^ \n]+", f"{name}={value}", model.text)
    with pytest.raises(InputError, match="trees cannot be read"):
        load_reranker(dump_reranker(text, 1.0))


def test_nodes_that_go_round_in_a_ring_are_refused() -> None:
    ring = (
        "Tree=0\nnum_leaves=4\nnum_cat=0\nsplit_feature=0 1 2\nsplit_gain=1 1 1\n"
        "threshold=0 0 0\ndecision_type=2 2 2\nleft_child=1 2 0\nright_child=-1 -2 -3\n"
        "leaf_value=1 2 3 4\nleaf_weight=1 1 1 1\nleaf_count=1 1 1 1\ninternal_value=0 0 0\n"
        "internal_weight=1 1 1\ninternal_count=4 3 2\nis_linear=0\nshrinkage=1"
    )
    header = (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n"
        f"max_feature_idx={WIDTH - 1}\nobjective=lambdarank\nfeature_names={' '.join(FEATURES)}\n"
        f"feature_infos={' '.join(['none'] * WIDTH)}"
    )
    whole = "{}\n\n{}\n\n\nend of trees\n"
    with pytest.raises(ValueError, match="do not form a tree"):
        canonical_model(whole.format(header, ring), FEATURES)
    tree = ring.replace("left_child=1 2 0", "left_child=1 2 -4")
    assert canonical_model(whole.format(header, tree), FEATURES)


SCRIPT = """
import json, sys
import numpy as np
from predator.domain.errors import InputError
from predator.search.features import FEATURES
from predator.search.rerank import load_reranker
matrix = np.random.default_rng(0).standard_normal((20, len(FEATURES))).astype(np.float32)
for line in sys.stdin:
    try:
        reranker = load_reranker(json.loads(line).encode())
    except InputError:
        print("refused", flush=True)
        continue
    scores = reranker.score(matrix, np.zeros(20, np.float32))
    fine = scores.shape == (20,) and np.isfinite(scores).all()
    print("fine" if fine else "broken", flush=True)
"""


def damaged(text: str, rng: random.Random) -> str:
    kind = rng.randrange(5)
    if kind == 0:
        return text[: rng.randrange(len(text))]
    if kind == 1:
        letters = list(text)
        for _ in range(rng.randrange(1, 4)):
            letters[rng.randrange(len(letters))] = rng.choice("0123456789-=. \nabcxN")
        return "".join(letters)
    lines = text.split("\n")
    place = rng.randrange(min(len(lines), text[: text.index("end of trees")].count("\n")))
    if kind == 2:
        del lines[place]
    elif kind == 3:
        lines.insert(place, lines[rng.randrange(len(lines))])
    else:
        lines[place] = re.sub(r"\d+", rng.choice(["-7", "99999999", ""]), lines[place], count=1)
    return "\n".join(lines)


def test_damaged_models_never_take_the_process_down(model: Model) -> None:
    """LightGBM alone aborts the whole process on about a third of these."""
    rng = random.Random(11)  # noqa: S311 - damage, not a secret
    texts = [model.text, *(damaged(model.text, rng) for _ in range(250)), model.text]
    lines = [json.dumps(dump_reranker(text, 1.0).decode()) for text in texts]
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    answers = run.stdout.split()
    assert len(answers) == 252
    assert (answers[0], answers[-1]) == ("fine", "fine")
    counts = Counter(answers)
    assert counts["broken"] == 0
    assert counts["refused"] > 60

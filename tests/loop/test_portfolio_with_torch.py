"""A cycle's job trains a cross-encoder and tunes the encoder, where torch is at hand."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from predator.domain.documents import Document
from predator.learning import lambdamart
from predator.learning.bi_encoder import read_parts
from predator.learning.cross_encoder import Plan
from predator.loop.train import Budget
from predator.loop.training import learn
from predator.loop.training.portfolio_files import (
    OBJECT,
    Row,
    job_inputs,
    job_spec,
    read_left_out,
    read_portfolio,
    read_tuned_on,
)
from predator.loop.training.train_job import train_job
from predator.search.rerank import load_reranker, parts_of_reranker
from tests.learning.letters import letter_lessons
from tests.search.encoder.tiny import tiny_folder
from tests.search.fakes import DIMENSION, HashedEncoder

COUNT = 120
SPEC = job_spec(
    seed=0, dim=DIMENSION, budget=Budget(150.0), max_tokens=16, cross_encoder=True, room_ms=1e-6
)


def silent(_what: str, _done: int, _total: int) -> None:
    pass


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, bytes]:
    """Questions of letters, answered by what is half round the alphabet, and some by themselves."""
    lessons = letter_lessons(COUNT, 0)
    documents = [Document(f"d{n}", "", text) for n, text in enumerate(lessons.texts)]
    rows: list[Row] = [
        (f"q{n}", one.query, f"d{one.positive}", 1, "judgment")
        for n, one in enumerate(lessons.train)
    ]
    rows += [(f"gen-{n}", lessons.texts[n], f"d{n}", 1, "title") for n in range(20)]
    texts = list(dict.fromkeys(row[1] for row in rows))
    encode = HashedEncoder().encode
    return job_inputs(
        rows, documents, encode(lessons.texts), texts, encode(texts),
        read_parts(tiny_folder(tmp_path)), {0: Document("d0", "", "read")}, encode(["read"]),
    )  # fmt: skip


@pytest.mark.train
@pytest.mark.filterwarnings("ignore")
def test_both_are_trained_and_what_reads_texts_comes_with_all_it_needs(
    inputs: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    small = partial(Plan, max_tokens=32, max_query_tokens=8)  # the tiny model reads no more
    monkeypatch.setattr(learn, "Plan", small)
    files = train_job(inputs, SPEC, silent, tmp_path / "checkpoint")
    portfolio, left_out = read_portfolio(files), read_left_out(files)
    assert "cross_encoder" not in left_out or "no share of it" in left_out["cross_encoder"]
    trees = next(one for one in portfolio if one.name == "lambdamart+cross_encoder")
    assert trees.reranker is not None
    (digest,) = parts_of_reranker(trees.reranker)
    assert digest in trees.objects
    assert load_reranker(trees.reranker, trees.objects.__getitem__)
    assert not next(one for one in portfolio if one.name == "fusion").objects
    assert "leaves 0 ms" in left_out["cross_encoder_shallow"]
    tuned = [one for one in portfolio if one.encoder is not None]
    learnt = ("no share of the tuned weights", "the anchors say")
    assert tuned or left_out["bi_encoder"].startswith(learnt)
    assert bool(read_tuned_on(files)) == bool(tuned)


def test_without_torch_the_reason_is_told_and_the_rest_goes_on(
    inputs: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lambdamart, "MAX_TREES", 3)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    files = train_job(inputs, {**SPEC, "max_tokens": 0}, silent)
    assert "needs torch, which is not installed" in read_left_out(files)["cross_encoder"]
    assert {"fusion", "lambdamart"} <= {one.name for one in read_portfolio(files)}
    assert not any(name.startswith(OBJECT) for name in files)

"""A cross-encoder gives each pair its score, within the time it has, or is refused."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.canonical import canonical_json, sha256_hex
from predator.domain.documents import Document
from predator.domain.errors import InputError, IntegrityError
from predator.search.cross_encoder import CrossEncoder, load_cross_encoder, passage
from predator.search.cross_encoder_files import (
    MANIFEST,
    MODEL,
    TOKENIZER,
    Manifest,
    Part,
    keep_cross_encoder,
)
from tests.search.encoder.tiny import tiny_tokenizer
from tests.search.pair_models import WORDS, Objects, exported

QUERY = "read table"
DOCUMENTS = [f"{a} {b} {c}" for a in WORDS for b in WORDS for c in ("file", "x y z")]


@pytest.fixture(scope="module")
def encoder() -> CrossEncoder:
    return exported().encoder


@pytest.fixture
def kept() -> tuple[Objects, str]:
    objects = Objects()
    return objects, keep_cross_encoder(objects.put, exported().files)


def test_a_pair_has_the_same_score_alone_and_among_others(encoder: CrossEncoder) -> None:
    together = encoder.score(QUERY, DOCUMENTS)
    alone = [encoder.score(QUERY, [document])[0] for document in DOCUMENTS]
    assert together.tolist() == alone
    assert len(set(alone)) == len(alone)
    assert encoder.score("search file", DOCUMENTS).tolist() != alone


def test_query_and_document_are_not_the_same_to_it(encoder: CrossEncoder) -> None:
    assert encoder.score("read", ["table"])[0] != encoder.score("table", ["read"])[0]


def test_any_number_of_threads_share_it(encoder: CrossEncoder) -> None:
    wanted = encoder.score(QUERY, DOCUMENTS).tolist()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: encoder.score(QUERY, DOCUMENTS).tolist(), range(8)))
    assert found == [wanted] * 8


def test_only_what_fits_is_read(encoder: CrossEncoder) -> None:
    short = " ".join(["table"] * 40)
    long = " ".join(["table"] * 100_000)
    assert encoder.score("read", [short]).tolist() == encoder.score("read", [long]).tolist()
    assert len(encoder.tokens("read " * 500, long).ids) == 32
    assert sum(encoder.tokens("read " * 500, long).type_ids) == 32 - 8 - 2
    assert len(encoder.tokens("a" * 1_000_000, "b" * 1_000_000).ids) <= 32


@settings(deadline=None, max_examples=40)
@given(st.text(), st.lists(st.text(), max_size=3))
def test_any_text_gets_a_number(query: str, documents: list[str]) -> None:
    scores = exported().encoder.score(query, [*documents, "\ud800", ""])
    assert np.isfinite(scores).all()


def ticking(ms: float) -> Iterator[float]:
    """A clock that moves on by half of ``ms`` at each of the two looks of a pair."""
    return (tick * ms / 2000 for tick in count())


@pytest.mark.parametrize(("budget_ms", "read"), [(0.1, 0), (100, 10), (35, 3), (10_000, 32)])
def test_within_its_time_it_reads_from_the_top(
    encoder: CrossEncoder, budget_ms: float, read: int
) -> None:
    clock = ticking(10)
    scores = encoder.score(QUERY, DOCUMENTS, budget_ms=budget_ms, clock=lambda: next(clock))
    assert np.flatnonzero(np.isfinite(scores)).tolist() == list(range(read))
    np.testing.assert_array_equal(scores[:read], encoder.score(QUERY, DOCUMENTS)[:read])


def test_what_each_word_adds_is_told_with_its_place(encoder: CrossEncoder) -> None:
    query, document = "read table", "search  FILE x"
    found = encoder.explain(query, document)
    assert [(one.part, one.text) for one in found] == [
        ("query", "read"), ("query", "table"),
        ("document", "search"), ("document", "FILE"), ("document", "x"),
    ]  # fmt: skip
    for one in found:
        source = query if one.part == "query" else document
        assert source[one.start : one.end] == one.text
    assert len({one.share for one in found}) == len(found)
    assert encoder.explain("", "") == []


def test_a_document_is_read_with_its_title() -> None:
    assert passage(Document("d", "Title", "text")) == "Title. text"
    assert passage(Document("d", "", "text")) == "text"


def test_it_comes_back_from_the_store_by_its_digest(kept: tuple[Objects, str]) -> None:
    objects, digest = kept
    assert digest == exported().manifest.digest
    loaded = load_cross_encoder(digest, objects.get)
    wanted = exported().encoder.score(QUERY, DOCUMENTS)
    assert loaded.score(QUERY, DOCUMENTS).tolist() == wanted.tolist()


def test_releases_that_share_it_share_its_session(kept: tuple[Objects, str]) -> None:
    objects, digest = kept
    first = load_cross_encoder(digest, objects.get)
    assert load_cross_encoder(digest, objects.get) is first
    del first
    gc.collect()
    objects.held.clear()
    with pytest.raises(IntegrityError, match="missing"):  # nobody held it any more
        load_cross_encoder(digest, objects.get)


@pytest.mark.parametrize("part", ["manifest", "model", "tokenizer"])
@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_damaged_bytes_are_refused_before_they_are_parsed(
    kept: tuple[Objects, str], part: str, damage: str
) -> None:
    objects, digest = kept
    manifest = exported().manifest
    target = {
        "manifest": digest, "model": manifest.model.sha256, "tokenizer": manifest.tokenizer.sha256,
    }[part]  # fmt: skip
    if damage == "gone":
        del objects.held[target]
    else:
        data = objects.held[target]
        objects.held[target] = data[:-1] if damage == "cut" else bytes(len(data))
    with pytest.raises(IntegrityError):
        load_cross_encoder(digest, objects.get)


@pytest.mark.parametrize(
    "change",
    [
        {"format": "predator-cross-encoder/2"},
        {"max_tokens": 5000},
        {"max_tokens": "32"},
        {"max_tokens": 32.0},
        {"max_query_tokens": True},
        {"max_query_tokens": 0},
        {"tokenizer": {"sha256": "\ud800" * 64, "size": 1}},
        {"tokenizer": {"sha256": ["a"], "size": 1}},
        {"max_query_tokens": 29},
        {"model": {"sha256": "x"}},
        {"model": {"sha256": "x", "size": 1, "more": 2}},
        {"more": 1},
        {"tokenizer": None},
    ],
)
def test_a_manifest_of_another_shape_is_refused(change: dict[str, object]) -> None:
    value = {**json.loads(exported().manifest.to_bytes()), **change}
    with pytest.raises(IntegrityError):
        Manifest.read(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


@pytest.mark.parametrize("size", [0, -1, 3 << 30, True, 1.5, "9"])
def test_a_size_that_no_model_has_is_not_fetched(size: object) -> None:
    value = json.loads(exported().manifest.to_bytes())
    value["model"]["size"] = size
    data = canonical_json(value)
    asked: list[str] = []

    def fetch(digest: str) -> bytes:
        asked.append(digest)
        return data

    with pytest.raises(IntegrityError):
        load_cross_encoder(sha256_hex(data), fetch)
    assert asked == [sha256_hex(data)]


def test_files_that_do_not_belong_together_are_not_kept() -> None:
    files = dict(exported().files)
    for name in (MODEL, TOKENIZER):
        with pytest.raises(IntegrityError, match="not what its manifest promises"):
            keep_cross_encoder(Objects().put, {**files, name: b"x"})
    del files[MANIFEST]
    with pytest.raises(IntegrityError, match="without its"):
        keep_cross_encoder(Objects().put, files)


@pytest.mark.parametrize(
    ("model", "tokenizer", "message"),
    [
        (b"no graph", tiny_tokenizer().encode(), "model cannot be loaded"),
        (None, b"{}", "tokenizer cannot be read"),
        (None, b"\xff", "tokenizer cannot be read"),
    ],
)
def test_whole_files_that_are_no_model_are_a_clear_error(
    model: bytes | None, tokenizer: bytes, message: str
) -> None:
    data = exported().files[MODEL] if model is None else model
    manifest = Manifest(Part.of(data), Part.of(tokenizer), 32, 8)
    with pytest.raises(InputError, match=message):
        CrossEncoder(manifest, data, tokenizer)


def test_a_sentence_encoder_is_no_cross_encoder() -> None:
    from predator.search.encoder.graph import build_graph
    from tests.search.encoder.tiny import SHAPE, tiny_weights

    graph = build_graph(SHAPE, tiny_weights()).SerializeToString()
    tokenizer = tiny_tokenizer().encode()
    with pytest.raises(InputError, match="does not give a logit"):
        CrossEncoder(Manifest(Part.of(graph), Part.of(tokenizer), 32, 8), graph, tokenizer)

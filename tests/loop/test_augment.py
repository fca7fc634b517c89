"""Training queries come from the documents that need them, and never from the Gold set."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.documents import Document
from predator.loop.augment import (
    METHODS,
    Generated,
    diversity,
    fingerprint,
    generate,
    keep,
    sources,
)
from tests.search.fakes import documents

SOURCES = [
    Document(d.id, d.title, f"{d.text} The second sentence is about {d.title}. {d.text}", "cat")
    for d in documents(60, seed=4)
]
HOSTILE = [
    Document("=1+1", "", ""),
    Document('a,b\n"c"', "...", "!!! ... ???"),
    Document("\x00", "\x00\r\n", "\r\n\r\n"),
    Document("x" * 500, "t" * 10_000, "w " * 200_000),
    Document("nul", "= + - @", "=HYPERLINK(0) is a long sentence. \x00 is another long one here."),
    Document("uk", "Заголовок", "Речення про пошук у просторі векторів. Друге речення тут теж є."),
    Document("rtl", "\u202egnp", "\u202eabc def ghi jkl mno."),
]


def made(count: int = 100, seed: int = 0) -> list[Generated]:
    return generate(SOURCES, {"matrix": 50}, count, np.random.default_rng(seed))


def test_every_method_has_its_share_however_many_documents_there_are() -> None:
    for count in (10, 30, 200):
        methods = Counter(one.method for one in made(count))
        assert set(methods) == set(METHODS)
        assert max(methods.values()) <= count
        first = Counter(one.method for one in made(count)[: 2 * count])
        assert len(first) == len(METHODS)  # not one method after another


def test_a_query_is_made_of_its_document() -> None:
    by_id = {d.id: d for d in SOURCES}
    for one in made():
        source = by_id[one.document_id]
        words = set(f"{source.title} {source.text}".replace(".", " ").split())
        assert {word.strip(".") for word in one.query.split()} <= words
        assert len(one.query.split()) <= 20


def test_the_same_seed_makes_the_same_queries() -> None:
    assert made(seed=3) == made(seed=3)
    assert made(seed=3) != made(seed=4)


def test_key_phrases_are_rare_words_in_their_order() -> None:
    text = "We compute the eigenvalue of the matrix with lapack here today."
    common = dict.fromkeys(["we", "comput", "the", "of", "with", "here", "today", "matrix"], 99)
    queries = generate(
        [Document("d", "t", text)], {**common, "eigenvalu": 1, "lapack": 1}, 5,
        np.random.default_rng(0),
    )  # fmt: skip
    (phrase,) = (one.query for one in queries if one.method == "key_phrase")
    assert phrase.split().index("eigenvalue") < phrase.split().index("lapack")


def test_hostile_documents_make_what_they_can() -> None:
    queries = generate(HOSTILE, {}, 50, np.random.default_rng(0))
    assert {"uk", "nul", "x" * 500} <= {one.document_id for one in queries}
    assert all(one.query.strip() for one in queries)
    assert not any("\n" in one.query or "\r" in one.query for one in queries)
    assert keep(queries, frozenset(), 50).kept


@given(
    st.lists(st.builds(Document, st.text(), st.text(), st.text()), max_size=5), st.integers(0, 9)
)
def test_any_documents_will_do(docs: list[Document], count: int) -> None:
    queries = generate(docs, {}, count, np.random.default_rng(0))
    assert len(queries) <= count * len(METHODS)
    filtered = keep(queries, frozenset(), count)
    assert len(filtered.kept) <= count


REWORDED = [
    ("compute the mean of an array", "Compute The MEAN of an Array"),
    ("compute the mean of an array", "an array of the mean compute"),
    ("compute the mean of an array", "computing the means of an arrays"),
    ("compute the mean of an array", "compute, the mean; of an array!?"),
    ("readCSV file", "read csv files"),
    ("compute the mean the mean", "the mean compute"),
    ("пошук документів", "документи пошук"),
]


@pytest.mark.parametrize(("gold", "copy"), REWORDED)
def test_a_gold_query_reworded_by_order_case_or_inflection_is_a_leak(gold: str, copy: str) -> None:
    forbidden = frozenset([fingerprint(gold)])
    filtered = keep([Generated(copy, "d", "title")], forbidden, 10)
    assert filtered.kept == []
    assert filtered.dropped["leak"] == 1


def test_no_gold_copy_gets_through_among_many() -> None:
    queries = made(60)
    rng = np.random.default_rng(1)
    gold = [queries[i].query for i in rng.choice(len(queries), 25, replace=False)]
    shuffled = [" ".join(rng.permutation(query.upper().split())) for query in gold]
    forbidden = frozenset(map(fingerprint, shuffled))
    filtered = keep(queries, forbidden, 1000)
    kept = {fingerprint(one.query) for one in filtered.kept}
    assert not kept & set(map(fingerprint, gold))
    assert filtered.dropped["leak"] >= 25


def test_each_thing_is_asked_once_and_says_something() -> None:
    queries = [
        Generated("mean of array", "a", "title"),
        Generated("array of mean", "b", "title"),
        Generated("mean", "c", "title"),
        Generated("", "d", "title"),
        Generated("...", "d", "title"),
        Generated("sum of array", "e", "title"),
        Generated("max of array", "f", "title"),
    ]
    filtered = keep(queries, frozenset(), 2)
    assert [one.document_id for one in filtered.kept] == ["a", "e"]
    assert filtered.dropped == {"too_short": 3, "duplicate": 1, "leak": 0}


def test_documents_with_the_wanted_terms_come_first() -> None:
    docs = [
        Document("none", "nothing", "here", category="new"),
        Document("one", "sparse", "text", category="old"),
        Document("both", "sparse", "tensors", category="old"),
        Document("other", "plain", "text", category="old"),
        Document("one-new", "tensor", "text", category="new"),
    ]
    chosen = sources(docs, ["spars", "tensor"], 10, ["new"])
    assert [d.id for d in chosen] == ["both", "one-new", "one", "none"]
    assert [d.id for d in sources(docs, ["spars", "tensor"], 2, ["new"])] == ["both", "one-new"]
    assert sources(docs, [], 10, []) == []


def test_diversity_is_the_share_of_distinct_pairs() -> None:
    assert diversity(["a1 b1 c1", "a1 b1 d1"]) == pytest.approx(3 / 4)
    assert diversity(["same words"] * 4) == pytest.approx(1 / 4)
    assert diversity([]) == diversity(["one"]) == 0.0

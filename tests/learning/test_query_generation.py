"""Queries made from documents look like users' queries and cannot be copied from their source."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.documents import Document
from predator.learning.leakage import gold_marks, near_duplicates
from predator.learning.query_generation import Generated, generate_queries, masked
from predator.learning.query_methods import METHODS
from predator.learning.query_text import content

TOPICS = ("matrix", "vector", "graph", "tree", "signal", "image", "table", "string", "filter")
VERBS = ("computes", "sorts", "reads", "solves", "plots", "merges", "filters", "trains", "splits")


def written(count: int, seed: int = 0) -> list[Document]:
    """Documents of some sentences, each with words of its own among common ones."""
    rng = np.random.default_rng(seed)

    def sentence(i: int, j: int) -> str:
        verb, topic = VERBS[rng.integers(len(VERBS))], TOPICS[rng.integers(len(TOPICS))]
        return (
            f"The function {verb} the {topic}{chr(97 + i % 26)} of special{i} with detail{i}x{j}."
        )

    return [
        Document(
            f"doc-{i}",
            f"package.module{i % 7}.{TOPICS[i % 9]}{i}",
            " ".join(sentence(i, j) for j in range(5)),
        )
        for i in range(count)
    ]


SOURCES = written(60)
HOSTILE = [
    Document("empty", "", ""),
    Document("none", "...", "!!! ... ???"),
    Document("nul", "\x00", "\x00\r\n"),
    Document("long", "t" * 10_000, "w " * 200_000),
    Document("formula", "= + - @", "=HYPERLINK(0) is a long sentence. \x00 is another long one."),
    Document("uk", "Заголовок статті", "Пошук у просторі векторів тут. Друге речення тут теж є."),
    Document("rtl", "\u202egnp", "\u202eabc def ghi jkl mno."),
    Document(
        "half", "\ud800 title", "Half a pair \ud800 stands in this sentence. More of it here."
    ),
]


def made(count: int = 100, seed: int = 0, **more: list[str]) -> list[Generated]:
    return generate_queries(SOURCES, count, np.random.default_rng(seed), **more)  # type: ignore[arg-type]


def words_of(text: str) -> set[str]:
    return set(text.lower().replace(".", " ").replace("\n", " ").split())


def test_there_are_as_many_as_wanted_and_every_method_has_its_share() -> None:
    for count in (12, 40, 160):
        queries = made(count)
        assert len(queries) == count
        shares = Counter(one.method for one in queries)
        assert set(shares) == set(METHODS)
        assert max(shares.values()) <= count / 2
    assert len({one.document_id for one in made(60)}) >= 50  # in turn, not from a few


def test_a_query_is_made_of_words_of_the_span_that_is_to_be_taken_out() -> None:
    by_id = {document.id: document for document in SOURCES}
    for one in made(160):
        whole = content(by_id[one.document_id])
        place = whole if one.span is None else whole[slice(*one.span)]
        assert words_of(one.query) <= words_of(place)


def test_without_its_span_a_document_no_longer_holds_the_query_as_it_stands() -> None:
    queries = [one for one in made(160) if one.span is not None]
    bare = {document.id: content(document) for document in masked(SOURCES, queries)}
    whole = {document.id: content(document) for document in SOURCES}
    assert {one.method for one in queries} == set(METHODS)
    assert len(queries) > 140  # a few cloze sentences stay
    for one in queries:
        assert one.span is not None
        assert whole[one.document_id][slice(*one.span)] not in bare[one.document_id]
        assert bare[one.document_id].strip()


def test_overlapping_spans_are_taken_out_once() -> None:
    document = Document("d", "ti", "0123456789")
    spans = [(5, 8), (3, 6), (10, 12), (0, 2)]
    [bare] = masked([document], [Generated("q", "d", "m", span) for span in spans])
    assert (bare.title, bare.text) == ("", "569")


def test_the_same_seed_makes_the_same_queries() -> None:
    assert made(seed=3) == made(seed=3)
    assert made(seed=3) != made(seed=4)


def test_lengths_and_style_are_those_of_real_queries() -> None:
    short = made(80, like=["matrix signal", "graph tree", "special5 token"])
    assert {len(one.query.split()) for one in short} == {2}
    assert not any("the" in words_of(one.query) for one in short)
    asked = ["how does the function merge the table of it"] * 3
    long = [
        one for one in made(80, like=asked) if one.method in ("first_sentence", "inverse_cloze")
    ]
    assert np.mean(["the" in words_of(one.query) for one in long]) > 0.9
    assert max(len(one.query.split()) for one in long) == 9


def test_no_gold_question_is_made_in_any_words() -> None:
    gold = [one.query for one in made(60)][::2]
    marks = gold_marks([" ".join(reversed(query.split())) for query in gold])
    again = made(60, marks=marks)
    assert not near_duplicates([one.query for one in again], gold).any()
    assert len(again) > 30


def test_key_phrases_are_telling_words() -> None:
    phrases = [one.query for one in made(160) if one.method == "key_phrase"]
    assert phrases
    assert not any(words_of(phrase) & {"the", "of", "with", "function"} for phrase in phrases)


def test_more_queries_than_documents_come_from_other_sentences() -> None:
    few = written(20)
    queries = generate_queries(few, 100, np.random.default_rng(0))
    assert len(queries) > 50
    assert max(Counter(one.document_id for one in queries).values()) <= 10
    for whole, bare in zip(few, masked(few, queries), strict=True):
        assert len(content(bare)) >= len(content(whole)) / 2


def test_titles_alone_are_enough_and_stay_where_they_are() -> None:
    goods = [Document(f"p{i}", f"brand{i} steel kitchen knife model{i}", "") for i in range(40)]
    queries = generate_queries(goods, 30, np.random.default_rng(0))
    assert len(queries) == 30
    assert all(one.span is None for one in queries)


def test_hostile_documents_make_what_they_can() -> None:
    queries = generate_queries(HOSTILE, 50, np.random.default_rng(0))
    assert {"uk", "formula"} <= {one.document_id for one in queries}
    assert not {"empty", "none", "nul"} & {one.document_id for one in queries}
    assert all(one.query.isprintable() and one.query.strip() for one in queries)


def test_a_document_of_any_length_takes_the_same_short_time() -> None:
    long = [
        Document(f"d{i}", "t " * 100_000, f"Sentence {i} of it all. " * 50_000) for i in range(8)
    ]
    begun = time.process_time()
    generate_queries(long, 20, np.random.default_rng(0))
    assert time.process_time() - begun < 10


@given(
    st.lists(st.builds(Document, st.text(), st.text(), st.text()), max_size=4), st.integers(0, 9)
)
def test_any_documents_will_do(docs: list[Document], count: int) -> None:
    queries = generate_queries(docs, count, np.random.default_rng(0))
    assert len(queries) <= count
    for bare in masked(docs, queries):
        assert isinstance(bare, Document)


def test_progress_is_told_query_by_query() -> None:
    heard: list[tuple[int, int]] = []
    generate_queries(
        SOURCES, 30, np.random.default_rng(0), progress=lambda done, of: heard.append((done, of))
    )
    assert heard == [(i, 30) for i in range(1, 31)]


@pytest.mark.nightly
def test_five_thousand_queries_from_five_thousand_documents_take_less_than_a_minute() -> None:
    documents = written(5000)
    begun = time.perf_counter()
    assert len(generate_queries(documents, 5000, np.random.default_rng(0))) == 5000
    assert time.perf_counter() - begun < 60

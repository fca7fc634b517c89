"""Documents come out clean, in a language, a category and with their entities; or not at all."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.documents import Document
from predator.domain.errors import InputError
from predator.search.processor import (
    DEFAULT_ENTITIES,
    MAX_TEXT,
    Processor,
    Rules,
    category_counts,
    clean,
    detect_language,
)

RULES = Rules(
    {"linear algebra": {"matrix": 0.8, "vector": 0.6}, "graphs": {"node": 0.7, "edg": 0.7}},
    DEFAULT_ENTITIES,
)
PROCESSOR = Processor(RULES)


def entities(text: str) -> tuple[str, ...]:
    return PROCESSOR.process(Document("a", "", text)).entities


@given(st.text(max_size=300))
def test_cleaning_leaves_nothing_to_clean(text: str) -> None:
    tidy = clean(text)
    assert clean(tidy) == tidy
    assert tidy == tidy.strip()
    assert unicodedata.is_normalized("NFC", tidy)
    assert not any(ord(c) < 32 and c != "\n" for c in tidy)
    tidy.encode()


def test_line_breaks_stay_and_spaces_collapse() -> None:
    assert clean("  one \t two\u00a0 three\r\n\n\n four\x00five\ud800 ") == (
        "one two three\nfour five"
    )
    assert clean("e\u0301") == "\u00e9"


@pytest.mark.parametrize("text", ["", " \n\t ", "\x00\x01", "\u200b\ufeff", "\ud800"])
def test_a_document_with_nothing_in_it_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="empty after cleaning"):
        PROCESSOR.process(Document("a", text, text))


def test_a_title_alone_or_a_text_alone_is_a_document() -> None:
    assert PROCESSOR.process(Document("a", "Title", "")).title == "Title"
    assert PROCESSOR.process(Document("a", "", "Text")).text == "Text"


def test_endless_text_is_cut() -> None:
    assert len(PROCESSOR.process(Document("a", "t", "word " * 100_000)).text) <= MAX_TEXT


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Sorting an array", "en"),
        ("Пошук найближчих сусідів у просторі", "uk"),
        ("Поиск ближайших соседей", "ru"),
        ("Об'єкт np.array і його їжа", "uk"),
        ("12345 !!!", "und"),
        ("", "und"),
    ],
)
def test_languages_are_told_apart(text: str, language: str) -> None:
    assert detect_language(text) == language


def test_documents_are_classified_by_their_terms() -> None:
    def category(text: str, given_category: str = "") -> str:
        return PROCESSOR.process(Document("a", "", text, category=given_category)).category

    assert category("multiply a matrix by a vector") == "linear algebra"
    assert category("edges between nodes") == "graphs"
    assert category("nothing of the kind") == "other"
    assert category("matrix", "its own") == "its own"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see numpy.linalg.norm for it", "numpy.linalg.norm"),
        ("call read_csv now", "read_csv"),
        ("in 2024 it was", "2024"),
        ("up to 50% of it", "50%"),
        ("50%", "50%"),
        ("a 2.5 GB file", "2.5 GB"),
        ("3,5 kg of it", "3,5 kg"),
    ],
)
def test_entities_are_found(text: str, found: str) -> None:
    assert entities(text) == (found,)


def test_entities_are_few_short_and_told_once() -> None:
    assert entities("3000 in 12024 5 kgs v2") == ()
    assert entities("a.b " * 50) == ("a.b",)
    many = entities(" ".join(f"name{i}.x" for i in range(50)))
    assert len(many) == 16
    assert len(entities(f"a.{'b' * 500}")[0]) == 80


@pytest.mark.parametrize("text", ["a_" * 2000, "1" * 4000, "a." * 2000, "9.9" * 1300, "_" * 4000])
def test_no_text_makes_the_patterns_run_away(text: str) -> None:
    started = time.process_time()
    entities(f"x {text}!")
    assert time.process_time() - started < 5


def test_rules_come_back_as_they_were() -> None:
    assert Rules.load(RULES.dump()) == RULES
    assert Rules.load(RULES.dump()).dump() == RULES.dump()


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b"5",
        b"{}",
        {"categories": {}},
        {"categories": [], "entities": {}},
        {"categories": {"a": ["b"]}, "entities": {}},
        {"categories": {"a": {"b": "c"}}, "entities": {}},
        {"categories": {"a": {"b": True}}, "entities": {}},
        {"categories": {}, "entities": {"a": 5}},
        {"categories": {}, "entities": {"a": "("}},
        {"categories": {}, "entities": {"a": "x{99999999999999999999}"}},
        {"categories": {}, "entities": []},
    ],
    ids=range(15),
)
def test_broken_rules_are_refused(value: object) -> None:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    with pytest.raises(InputError, match="rules cannot be read"):
        Rules.load(data)


def test_categories_are_counted_most_first() -> None:
    docs = [Document("1", "", "", category=name) for name in ("b", "a", "a", "")]
    assert list(category_counts(docs).items()) == [("a", 2), ("b", 1), ("other", 1)]

"""Any text gives whole sentences and one clean line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.documents import Document
from predator.learning.query_text import (
    EDGES,
    MOST_CHARACTERS,
    clean_query,
    content,
    sentences,
    without,
)


def split(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            "Return the mean of it. Or the median\nof all the rest! Is that all there is?",
            ["Return the mean of it.", "Or the median\nof all the rest!", "Is that all there is?"],
        ),
        (
            "Як показано на рис. Шевченка, пошук працює добре. Автор — Т. Г. Шевченко з м. Києва.",
            [
                "Як показано на рис. Шевченка, пошук працює добре.",
                "Автор — Т. Г. Шевченко з м. Києва.",
            ],
        ),
        (
            "«Це перше довге речення тут!» Їжак побіг далі до лісу… Європа чекає на нього там.",
            [
                "«Це перше довге речення тут!",
                "Їжак побіг далі до лісу…",
                "Європа чекає на нього там.",
            ],
        ),
        (
            "See Fig. 3 of Smith et al. Then go on, e.g. Newton's method.",
            ["See Fig. 3 of Smith et al. Then go on, e.g. Newton's method."],
        ),
        ("A heading\n\nThe text that stands under it.", ["The text that stands under it."]),
        ("Things to do here:\n- first do this thing\n- then do that thing", [
            "Things to do here:", "- first do this thing", "- then do that thing",
        ]),
        (">>> x = f(1, 2) + g[3] * {4: 5} ** 6 - 7", []),
        ("one two three", []),
        ("", []),
    ],
)  # fmt: skip
def test_sentences_end_where_a_reader_ends_them(text: str, wanted: list[str]) -> None:
    assert split(text) == wanted


@given(st.text(max_size=300))
def test_sentences_are_in_order_apart_and_without_space_around_them(text: str) -> None:
    found = sentences(text)
    ends = [0, *(end for _, end in found)]
    assert all(start >= before for (start, _), before in zip(found, ends, strict=False))
    assert all(text[start:end] == text[start:end].strip() != "" for start, end in found)


HOSTILE = {
    "a\x00b\x1b[31mc": "a b [31mc",
    "\u202egnp.exe run": "gnp.exe run",
    "zero\u200bwidth": "zerowidth",
    "line\r\nbreak\u2028more\u2029": "line break more",
    "  'quoted?'  ": "quoted",
    "half \ud800 pair": "half pair",
    "C++ or C#": "C++ or C",
    "...": "",
    "\u0415\u0308": "\u0401",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_becomes_a_line(text: str) -> None:
    assert clean_query(text) == HOSTILE[text]


@given(st.text())
def test_a_query_is_one_line_of_bounded_length_and_clean_already(text: str) -> None:
    query = clean_query(text)
    assert len(query) <= MOST_CHARACTERS
    assert len(query.splitlines()) <= 1
    assert not {unicodedata.category(c)[0] for c in query} & {"C"}
    assert query == query.strip(EDGES) == clean_query(query)


def test_a_long_query_is_cut_between_words() -> None:
    assert clean_query("word " * 1000) == ("word " * 40).strip()
    assert clean_query("x" * 1000) == "x" * MOST_CHARACTERS


@given(st.text(max_size=20), st.text(max_size=40), st.data())
def test_what_is_taken_out_is_the_span_and_nothing_else(
    title: str, text: str, data: st.DataObject
) -> None:
    document = Document("d", title, text, "category", "uk", ("entity",))
    whole = content(document)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    bare = without(document, (start, end))
    left = whole[:start] + whole[end:]
    gap = len(title)
    assert bare.title + ("" if start <= gap < end else "\n") + bare.text == left
    assert (bare.id, bare.category, bare.language, bare.entities) == (
        "d", "category", "uk", ("entity",),
    )  # fmt: skip
    assert without(document, None) is document

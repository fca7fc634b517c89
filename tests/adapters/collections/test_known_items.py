"""Docstrings become queries with exactly one right answer."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.adapters.collections.known_items import (
    TEXT_LENGTH,
    Entry,
    clean_markup,
    known_items,
    split_sentence,
)

REST = "It reads all rows at once and keeps them in memory."


def entry(name: str, sentence: str, rest: str = REST, package: str = "pkg") -> Entry:
    return Entry(package, f"{package}.{name}", f"{sentence}\n\n{rest}")


def names(waves: list[list[Entry]]) -> list[list[str]]:
    return [[document.id for document, _ in wave] for wave in known_items(waves)]


def test_the_sentence_asks_for_the_rest() -> None:
    ((pair,),) = known_items([[entry("read", "Read `rows` from a :class:`~io.File`.")]])
    document, query = pair
    assert (document.id, document.title, document.text) == ("pkg.read", "pkg.read", REST)
    assert (query.id, query.text) == ("q:pkg.read", "Read rows from a io.File.")


def test_what_was_said_before_is_no_known_item() -> None:
    first = [entry("a", "Read the rows of a table."), entry("b", "Count the rows of a table.", "b")]
    inherited = [
        entry("c", "READ the rows of a `table`"),
        entry("d", "Drop every row of a table.", "Rows that are dropped cannot come back by hand."),
    ]
    assert names([first, inherited]) == [["pkg.a"], ["pkg.d"]]
    assert names([[*first, *inherited]]) == [["pkg.d"]]


@pytest.mark.parametrize(
    ("sentence", "rest"),
    [
        ("Read it.", REST),
        ("Read the rows of a table.", "Too short."),
        ("Read the rows of a table.", "Calls read. Read the rows of a Table, then close the file."),
        ("read(path: str, mode: str) -> list of rows", ""),
        (">>> read the rows of a table", REST),
        ("Parameters of the reader\n------------------------", REST),
        ("1 + 2 * 3 - 4 / 5 = x", REST),
    ],
)
def test_what_nobody_would_ask_or_could_answer_is_dropped(sentence: str, rest: str) -> None:
    assert names([[entry("a", sentence, rest)]]) == [[]]


def test_a_repeated_name_is_one_document() -> None:
    getter = entry("x", "Get the width of a table.", "The width is counted in rows and columns.")
    setter = entry("x", "Set the width of a table.")
    assert names([[getter, setter]]) == [["pkg.x"]]


def test_long_texts_are_cut_between_words_and_compared_as_cut() -> None:
    long = "word " * TEXT_LENGTH
    ((pair,),) = known_items([[entry("a", "Read the rows of a table.", long)]])
    assert TEXT_LENGTH - 5 <= len(pair[0].text) <= TEXT_LENGTH
    assert pair[0].text.endswith("word")
    twins = [entry(n, f"{v} the rows of a table.", f"{long}{v}") for n, v in ("aR", "bS")]
    assert names([twins]) == [[]]


def test_categories_are_public_parts_and_small_ones_fall_back_to_the_package() -> None:
    big = [
        entry(f"_core.f{n}", f"Read row number x{n} of a table.", f"{REST} Row x{n}.")
        for n in range(60)
    ]
    small = entry("odd.f", "Write the rows of a table.", f"{REST} Odd.")
    top = Entry("stdlib", "_pydecimal.f", f"Add two decimal numbers exactly.\n\n{REST} Top.")
    (wave,) = known_items([[*big, small, top]])
    assert {document.category for document, _ in wave} == {"pkg.core", "pkg", "stdlib"}


@pytest.mark.parametrize(
    ("docstring", "sentence", "rest"),
    [
        ("One thing. Another thing.", "One thing.", "Another thing."),
        ("No full stop\n\nThe rest.", "No full stop", "The rest."),
        ("Two\n  lines here.\n\nRest.", "Two lines here.", "Rest."),
        ("Formats, e.g. CSV, vs. others. Rest.", "Formats, e.g. CSV, vs. others.", "Rest."),
        ("Strings, lists etc.\n\nRest.", "Strings, lists etc.", "Rest."),
        ("Version 1.5 of it! Rest.", "Version 1.5 of it!", "Rest."),
        ("read(x, /) -> y\n\nRead it. Rest.", "Read it.", "Rest."),
        ("f(x)\nf(x, y)\n\nCall it.", "Call it.", ""),
        ("", "", ""),
    ],
)
def test_first_sentence(docstring: str, sentence: str, rest: str) -> None:
    assert split_sentence(docstring) == (sentence, rest)


@pytest.mark.parametrize(
    ("marked", "plain"),
    [
        ("the :class:`~a.b.Klass` of ``x``", "the a.b.Klass of x"),
        ("a :ref:`named link <target>` here", "a named link here"),
        ("a :py:meth:`.Session.flush` call", "a Session.flush call"),
        ("see `the page <https://x.y>`_ [1]_", "see the page"),
        ("*file* and **kw** but x*y*z and a ** b", "file and kw but x*y*z and a ** b"),
        (r"Euler\ 's :math:`\frac{1}{2}`", r"Euler 's \frac{1}{2}"),
    ],
)
def test_markup_becomes_plain_words(marked: str, plain: str) -> None:
    assert clean_markup(marked) == plain


VOCABULARY = ["read", "write", "rows", "of", "a", "table", "fast", "1", "`x`", "e.g."]
WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=12)
ENTRIES = st.builds(
    lambda name, sentence, rest: entry(name, " ".join(sentence) + ".", " ".join(rest)),
    st.sampled_from("abcdefgh"),
    WORDS,
    WORDS,
)


@given(st.lists(st.lists(ENTRIES, max_size=6), max_size=4), st.integers(0, 4))
def test_a_wave_does_not_depend_on_the_waves_after_it(waves: list[list[Entry]], n: int) -> None:
    assert known_items(waves[:n]) == known_items(waves)[:n]


@given(st.lists(st.lists(ENTRIES, max_size=6), max_size=4))
def test_every_known_item_is_unique_and_not_given_away(waves: list[list[Entry]]) -> None:
    pairs = [pair for wave in known_items(waves) for pair in wave]
    for part in (
        [document.id for document, _ in pairs],
        [document.text for document, _ in pairs],
        [query.text.lower() for _, query in pairs],
    ):
        assert len(set(part)) == len(part)
    for document, query in pairs:
        assert words(query.text) not in words(document.text)


@given(st.text())
def test_any_text_splits_without_losing_a_word(text: str) -> None:
    sentence, rest = split_sentence(text)
    if "(" not in text:  # no signature to drop
        assert "".join(f"{sentence}{rest}".split()) == "".join(text.split())


def words(text: str) -> str:
    return f" {' '.join(re.findall(r'[a-z0-9_]+', text.lower()))} "

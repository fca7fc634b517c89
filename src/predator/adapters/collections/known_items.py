"""Known-item search over docstrings: the first sentence, taken out, must find the rest."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from predator.domain.documents import Document, Query

TEXT_LENGTH = 2000
_QUERY_LENGTH = 300
_QUERY_WORDS = 4
_TEXT_WORDS = 8
_CATEGORY_SIZE = 50

_SIGNATURE = re.compile(r"[\w.*$]+ ?\([^\n]*\)(?: *(?:->|=>|--|:)[^\n]*)?\s*(?:\n|\Z)")
_UNDERLINE = re.compile(r"([=\-~^#*+_`\"'.])\1{3,}")
_SENTENCE = re.compile(r".+?[.!?](?=\s|\Z)")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|et al|resp|approx|incl|Dr|St)\.)\Z", re.I)
_ROLE = re.compile(r":[a-z][a-z:+.-]*:`(?:~|!)?([^`<]*?)(?:\s*<[^`>]*>)?`")
_TARGET = re.compile(r"`([^`<]+?)\s*<[^`>]*>`_*")
_FOOTNOTE = re.compile(r"\s*\[\w+\]_")
_EMPHASIS = re.compile(r"(?<![\w*])(\*{1,2})(?=\S)([^*]+?)(?<=\S)\1(?![\w*])")

_ESCAPE = re.compile(r"\\(?![a-zA-Z])")
_CALL = re.compile(r"[\w.$]+ ?\(.*\)\.?\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known about one named thing: ``package`` it lies in, qualified name, docstring."""

    package: str
    name: str
    docstring: str


@dataclass(frozen=True, slots=True)
class _Item:
    entry: Entry
    sentence: str
    text: str
    sentence_words: str
    text_words: str


def known_items(
    waves: Iterable[Iterable[Entry]],
) -> list[list[tuple[Document, Query]]]:
    """For each wave, its documents with the one query that each answers.

    An entry is kept where neither its sentence nor its text was said by another of the same or
    an earlier wave (inherited docstrings would be false negatives), so that what a wave holds
    does not depend on the waves after it. The query's words never stand together in the text.
    """
    sentences: Counter[str] = Counter()
    texts: Counter[str] = Counter()
    names: set[str] = set()
    result = []
    for wave in waves:
        items = [_item(entry) for entry in wave]
        sentences.update(item.sentence_words for item in items)
        texts.update(item.text_words for item in items)
        kept = []
        for item in items:
            unique = sentences[item.sentence_words] == 1 and texts[item.text_words] == 1
            if unique and _is_usable(item) and item.entry.name not in names:
                names.add(item.entry.name)
                kept.append(item)
        result.append(_documents(kept))
    return result


def _documents(items: Sequence[_Item]) -> list[tuple[Document, Query]]:
    fine = Counter(_fine_category(item.entry) for item in items)
    pairs = []
    for item in items:
        name, category = item.entry.name, _fine_category(item.entry)
        if fine[category] < _CATEGORY_SIZE:
            category = item.entry.package
        document = Document(name, name, item.text, category=category)
        pairs.append((document, Query(f"q:{name}", item.sentence)))
    return pairs


def _fine_category(entry: Entry) -> str:
    """The package and the public name of its first part: ``numpy._core.array`` → ``numpy.core``."""
    parts = entry.name.split(".")
    if parts[0] == entry.package:
        parts = parts[1:]
    return f"{entry.package}.{parts[0].removeprefix('_py').strip('_')}" if parts else entry.package


def _item(entry: Entry) -> _Item:
    docstring = entry.docstring.encode("utf-8", "replace").decode()  # a "\\ud800" in its source
    sentence, rest = split_sentence(docstring)
    sentence, text = clean_markup(sentence), _cut(_flat(_UNDERLINE.sub(" ", rest)))
    return _Item(entry, sentence, text, _words(sentence), _words(text))


def _is_usable(item: _Item) -> bool:
    return (
        len(item.sentence.split()) >= _QUERY_WORDS
        and len(item.sentence) <= _QUERY_LENGTH
        and len(item.text.split()) >= _TEXT_WORDS
        and _is_prose(item.sentence)
        and f" {item.sentence_words} " not in f" {item.text_words} "
    )


def _is_prose(sentence: str) -> bool:
    """Whether a person might have said it: no prompt, heading, grammar or signature."""
    if any(mark in sentence for mark in (">>>", "->", "::", " : [")):
        return False
    if _UNDERLINE.search(sentence) or _CALL.match(sentence):
        return False
    letters = sum(letter.isalpha() or letter == " " for letter in sentence)
    return letters >= 0.75 * len(sentence)


def split_sentence(docstring: str) -> tuple[str, str]:
    """The first sentence of the first paragraph, on one line, and what follows it.

    Signatures that open a docstring are dropped: they name what is to be found.
    """
    docstring = docstring.strip()
    while match := _SIGNATURE.match(docstring):
        docstring = docstring[match.end() :].lstrip()
    paragraph, _, rest = docstring.partition("\n\n")
    paragraph = _flat(paragraph) if not _UNDERLINE.search(paragraph) else paragraph
    end = 0
    for match in _SENTENCE.finditer(paragraph):
        end = match.end()
        if not _ABBREVIATION.search(match[0]):
            break
    else:
        end = len(paragraph)
    return paragraph[:end], f"{paragraph[end:]}\n{rest}".strip()


def clean_markup(text: str) -> str:
    """Plain words for reStructuredText: roles, links, footnote marks, emphasis, backquotes."""
    text = _TARGET.sub(r"\1", _ROLE.sub(_role_text, text))
    text = _EMPHASIS.sub(r"\2", _FOOTNOTE.sub("", text))
    return _flat(_ESCAPE.sub("", text.replace("`~", "").replace("`", "")))


def _role_text(match: re.Match[str]) -> str:
    return match[1].lstrip(".")


def _flat(text: str) -> str:
    return " ".join(text.split())


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _cut(text: str) -> str:
    if len(text) <= TEXT_LENGTH:
        return text
    return text[: TEXT_LENGTH + 1].rpartition(" ")[0] or text[:TEXT_LENGTH]

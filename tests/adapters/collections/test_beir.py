"""What a user gets from a BEIR folder: the collection, or one line with the place and the cure."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.adapters.collections import lines
from predator.adapters.collections.beir import load_beir
from predator.domain.documents import Collection, Document, Query
from predator.domain.errors import InputError

CORPUS = '{"_id": "d1", "title": "One", "text": "first"}\n{"_id": "d2", "text": "second"}\n'
QUERIES = '{"_id": "q1", "text": "what is first"}\n{"_id": "q2", "text": "what is second"}\n'
QRELS = "query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td2\t2\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "qrels").mkdir(parents=True)
    (root / "corpus.jsonl").write_text(CORPUS)
    (root / "queries.jsonl").write_text(QUERIES)
    (root / "qrels" / "test.tsv").write_text(QRELS)
    return root


def dump(collection: Collection, root: Path) -> None:
    (root / "qrels").mkdir(parents=True, exist_ok=True)
    documents = [
        {"_id": d.id, "title": d.title, "text": d.text, "metadata": {"category": d.category}}
        for d in collection.documents
    ]
    queries = [{"_id": q.id, "text": q.text} for q in collection.queries]
    for name, records in (("corpus", documents), ("queries", queries)):
        text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (root / f"{name}.jsonl").write_bytes(text.encode())
    for split, judgments in collection.splits.items():
        rows = [f"{q}\t{d}\t{g}\n" for q, grades in judgments.items() for d, g in grades.items()]
        text = "query-id\tcorpus-id\tscore\n" + "".join(rows)
        (root / "qrels" / f"{split}.tsv").write_bytes(text.encode())


def test_a_folder_becomes_a_collection(folder: Path) -> None:
    collection = load_beir(folder)
    assert collection.name == "data"
    assert collection.documents == (Document("d1", "One", "first"), Document("d2", "", "second"))
    assert collection.queries == (Query("q1", "what is first"), Query("q2", "what is second"))
    assert collection.splits == {"test": {"q1": {"d1": 1, "d2": 0}, "q2": {"d2": 2}}}
    assert collection.manifest["judgments"] == {"test": 3}


def test_each_qrels_file_is_a_split_whatever_its_dialect(folder: Path) -> None:
    qrels = folder / "qrels"
    (qrels / "trec.tsv").write_text("q1 0 d1 1\nq2 0 d2 3\n")
    (qrels / "tabs.tsv").write_text("q1\t0\td1\t1\n")
    (qrels / "bare.tsv").write_text("q1\td1\t1.0\r\n\r\nq1\td1\t1\r\n")
    (qrels / "._bare.tsv").write_bytes(b"\x00\xff")  # what macOS leaves beside a file
    splits = load_beir(folder).splits
    assert sorted(splits) == ["bare", "tabs", "test", "trec"]
    assert splits["trec"] == {"q1": {"d1": 1}, "q2": {"d2": 3}}
    assert splits["tabs"] == splits["bare"] == {"q1": {"d1": 1}}


def test_integer_ids_marks_blank_lines_and_foreign_fields_are_taken(folder: Path) -> None:
    (folder / "corpus.jsonl").write_bytes(
        b'\xef\xbb\xbf{"_id": 7, "text": "seven", "category": "numbers", "extra": [1]}\r\n\r\n'
        b'{"_id": "8", "title": null, "text": "eight", "metadata": {"category": ["a", "b"]}}\n'
        b'{"_id": "9", "text": "nine", "metadata": {"category": {"odd": 1}}}'
    )
    (folder / "qrels" / "test.tsv").write_bytes(b"\xef\xbb\xbfq1\t7\t1\n")
    collection = load_beir(folder)
    assert [(d.id, d.category) for d in collection.documents] == [
        ("7", "numbers"),
        ("8", "a"),
        ("9", ""),
    ]
    assert [query.id for query in collection.queries] == ["q1", "q2"]  # q2 is asked, not judged


def test_documents_that_nothing_can_find_are_left_out_and_counted(folder: Path) -> None:
    with (folder / "corpus.jsonl").open("a") as file:
        file.write('{"_id": "d3", "title": "", "text": " "}\n')
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q1\td3\t1\n")
    collection = load_beir(folder)
    assert [document.id for document in collection.documents] == ["d1", "d2"]
    assert collection.splits["test"]["q1"] == {"d1": 1, "d2": 0}
    assert collection.manifest["dropped"] == {"empty_documents": 1, "judgments": 1, "queries": 0}


def test_missing_documents_can_be_ignored_with_the_queries_they_orphan(folder: Path) -> None:
    qrels = folder / "qrels" / "test.tsv"
    qrels.write_text("q1\tgone\t1\nq1\td2\t0\nq2\tgone\t1\nq2\td2\t1\n")
    collection = load_beir(folder, missing_docs="ignore")
    assert collection.splits == {"test": {"q2": {"d2": 1}}}
    assert [query.id for query in collection.queries] == ["q2"]
    assert collection.manifest["dropped"] == {"empty_documents": 0, "judgments": 2, "queries": 1}


def test_the_digest_is_of_the_content_not_of_its_order(folder: Path) -> None:
    digest = load_beir(folder).digest
    for name in ("corpus.jsonl", "queries.jsonl"):
        path = folder / name
        path.write_text("".join(reversed(path.read_text().splitlines(keepends=True))))
    (folder / "qrels" / "test.tsv").write_text("q2\td2\t2.0\nq1\td2\t0\nq1\td1\t1\n")
    assert load_beir(folder).digest == digest
    assert load_beir(folder.rename(folder.with_name("moved"))).digest == digest


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("corpus.jsonl", "second", "Second"),
        ("corpus.jsonl", '"title": "One", "text": "first"', '"title": "", "text": "Onefirst"'),
        ("corpus.jsonl", '"text": "second"', '"text": "second", "category": "c"'),
        ("queries.jsonl", "what is first", "what was first"),
        ("qrels/test.tsv", "q1\td2\t0", "q1\td2\t1"),
        ("qrels/test.tsv", "q1\td2\t0\n", ""),
    ],
)
def test_any_change_of_content_changes_the_digest(
    folder: Path, file: str, old: str, new: str
) -> None:
    before = load_beir(folder).digest
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    assert load_beir(folder).digest != before


D = '{"_id": "d1", "text": "x"}\n'
LONG = "x" * 5000
BAD: dict[str, tuple[str, bytes | str, int, str]] = {
    # what is wrong: file, its content, line named, words of the message
    "malformed JSON": ("corpus.jsonl", D + "{oops\n", 2, "not JSON|one JSON object a line"),
    "cut JSON": ("corpus.jsonl", D + '{"_id": "d2", "te', 2, "not JSON"),
    "nested beyond reason": ("corpus.jsonl", "[" * 200_000, 1, "not usable JSON"),
    "an integer of 5,000 digits": ("corpus.jsonl", "9" * 5000, 1, "not usable JSON"),
    "not an object": ("corpus.jsonl", D + '["d2", "x"]\n', 2, "not a JSON object|_id"),
    "no id": ("corpus.jsonl", '{"text": "x"}\n', 1, '"_id" is missing|unique text'),
    "id null": ("corpus.jsonl", '{"_id": null, "text": "x"}\n', 1, '"_id" is missing'),
    "id empty": ("corpus.jsonl", '{"_id": "", "text": "x"}\n', 1, '"_id" is missing'),
    "id a float": ("corpus.jsonl", '{"_id": 1.5, "text": "x"}\n', 1, "not text"),
    "id true": ("corpus.jsonl", '{"_id": true, "text": "x"}\n', 1, "not text"),
    "id with NUL": ("corpus.jsonl", '{"_id": "a\\u0000b", "text": "x"}\n', 1, "control char"),
    "id with an escape": ("corpus.jsonl", '{"_id": "\\u001b[2J", "text": "x"}\n', 1, "control"),
    "id turning the line": ("corpus.jsonl", '{"_id": "a\\u202eb", "text": ""}\n', 1, "control"),
    "id with a line break": ("queries.jsonl", '{"_id": "a\\nb", "text": "x"}\n', 1, "control"),
    "id with padding": ("corpus.jsonl", '{"_id": " d1", "text": "x"}\n', 1, "white space"),
    "id endless": ("corpus.jsonl", f'{{"_id": "{LONG}", "text": "x"}}\n', 1, "longer|Shorten"),
    "id half a pair": ("corpus.jsonl", '{"_id": "\\ud800", "text": "x"}\n', 1, "surrogate"),
    "no text": ("corpus.jsonl", D + '{"_id": "d2"}\n', 2, '"text" is missing|Give the line'),
    "text a number": ("corpus.jsonl", '{"_id": "d1", "text": 5}\n', 1, '"text" is not text'),
    "title a list": ("corpus.jsonl", '{"_id": "1", "text": "", "title": []}', 1, '"title" is not'),
    "text half a pair": ("corpus.jsonl", '{"_id": "d1", "text": "\\udfff"}', 1, "surrogate"),
    "duplicate document": ("corpus.jsonl", D + "\n" + D, 3, "'d1' was on line 1|unique"),
    "duplicate by number": ("corpus.jsonl", '{"_id":"1","text":"x"}\n{"_id":1,"text":"y"}', 2, "1"),
    "duplicate query": ("queries.jsonl", QUERIES + QUERIES, 3, "query 'q1' was on line 1"),
    "all documents empty": ("corpus.jsonl", '{"_id": "d1", "text": ""}\n', 1, "no document has"),
    "query without words": ("queries.jsonl", '{"_id": "q1", "text": "  "}\n', 1, "has no text"),
    "empty corpus": ("corpus.jsonl", "", 1, "the file is empty|Fill it"),
    "blank queries": ("queries.jsonl", "\n \n", 1, "the file is empty"),
    "empty qrels": ("qrels/test.tsv", "", 1, "the file is empty"),
    "header alone": ("qrels/test.tsv", "query-id\tcorpus-id\tscore\n", 1, "no judgment|remove"),
    "Latin-1": (
        "corpus.jsonl",
        D.encode() + b'{"_id": "d2", "text": "\xe9"}\n',
        2,
        "byte 24 |UTF-8",
    ),
    "UTF-16": ("queries.jsonl", QUERIES.encode("utf-16"), 1, "byte 1 (0xff) is not UTF-8"),
    "binary qrels": ("qrels/test.tsv", b"q1\td1\t1\n\x00\x80", 2, "not UTF-8"),
    "negative score": ("qrels/test.tsv", QRELS + "q1\td1\t-1\n", 5, "'-1'|Use 0 for not relevant"),
    "fractional score": ("qrels/test.tsv", "q1\td1\t0.5\n", 1, "whole number"),
    "score NaN": ("qrels/test.tsv", "q1\td1\tnan\n", 1, "whole number"),
    "score a word": ("qrels/test.tsv", "q1\td1\tyes\n", 1, "whole number"),
    "score in other digits": ("qrels/test.tsv", "q1\td1\t١\n", 1, "whole number"),
    "score huge": ("qrels/test.tsv", "q1\td1\t99999\n", 1, "above 1000|small grades"),
    "two columns": ("qrels/test.tsv", QRELS + "q1\td1\n", 5, "2 columns|split by tabs"),
    "five columns": ("qrels/test.tsv", "q1\t0\td1\t1\tx\n", 1, "5 columns"),
    "commas": ("qrels/test.tsv", "q1,d1,1\n", 1, "1 columns without tabs|split by tabs"),
    "unknown query": ("qrels/test.tsv", QRELS + "q9\td1\t1\n", 5, "query 'q9'|Add it there"),
    "unknown document": ("qrels/test.tsv", QRELS + "q1\td9\t1\n", 5, "'d9'|--missing-docs ignore"),
    "hostile document": ("qrels/test.tsv", "q1\t\x1b]0;\x07\x00" + LONG + "\t1\n", 1, r"'\x1b]0;"),
    "two verdicts": ("qrels/test.tsv", QRELS + "q1\td1\t2\n", 5, "judged 1 before|Keep one"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_with_the_place_and_the_cure(folder: Path, what: str) -> None:
    file, content, number, words = BAD[what]
    (folder / file).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as caught:
        load_beir(folder)
    message = str(caught.value)
    assert f"{Path(file).name}:{number}: " in message
    for part in words.split("|"):
        assert part in message
    assert_fit_to_print(caught.value)


def assert_fit_to_print(error: InputError) -> None:
    assert error.exit_code == 2
    assert error.cure
    assert str(error).isprintable()
    assert len(str(error)) <= 300


def _remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def _replace_by_folder(root: Path) -> None:
    (root / "corpus.jsonl").unlink()
    (root / "corpus.jsonl").mkdir()


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (_remove("corpus.jsonl"), "corpus.jsonl is missing"),
        (_remove("queries.jsonl"), "queries.jsonl is missing"),
        (_remove("qrels/test.tsv"), "qrels holds no .tsv file"),
        (lambda root: (root / "qrels").rename(root / "judgments"), "qrels is missing"),
        (_replace_by_folder, "corpus.jsonl is missing"),
        (lambda root: root.rename(root.with_name("other")), "data does not exist"),
        (lambda root: root.rename(root.with_name("x")).with_name("data").touch(), "not a folder"),
        (lambda root: (root / "qrels/test.tsv").rename(root / "qrels/\x1b.tsv"), "printable"),
    ],
)
def test_what_is_missing_is_named(
    folder: Path, break_it: Callable[[Path], object], words: str
) -> None:
    break_it(folder)
    with pytest.raises(InputError, match=words) as caught:
        load_beir(folder)
    assert_fit_to_print(caught.value)


def test_a_folder_of_documents_alone_is_a_collection_without_questions(folder: Path) -> None:
    whole = load_beir(folder)
    (folder / "queries.jsonl").unlink()
    shutil.rmtree(folder / "qrels")
    alone = load_beir(folder)
    assert alone.documents == whole.documents
    assert (alone.queries, dict(alone.splits)) == ((), {})
    assert alone.digest != whole.digest


def test_ignoring_every_document_is_refused(folder: Path) -> None:
    (folder / "qrels" / "test.tsv").write_text("q1\tgone\t1\n")
    with pytest.raises(InputError, match="no judgment names a document of the corpus"):
        load_beir(folder, missing_docs="ignore")


def test_a_hostile_folder_name_stays_out_of_the_message(tmp_path: Path) -> None:
    hostile = tmp_path / ("\x1b[31m\n" + "long" * 50)
    with pytest.raises(InputError) as caught:
        load_beir(hostile)
    assert_fit_to_print(caught.value)


def test_a_file_without_line_breaks_cannot_eat_the_memory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES", 2**20)
    (folder / "corpus.jsonl").write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(InputError, match=r"corpus.jsonl:1: the line is longer than 1 MiB"):
        load_beir(folder)


def test_a_hundred_thousand_documents_take_seconds(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    text = "the quick brown fox jumps over the lazy dog " * 12
    with (tmp_path / "corpus.jsonl").open("w") as file:
        file.writelines(
            f'{{"_id": "{n}", "title": "t{n}", "text": "{text}"}}\n' for n in range(100_000)
        )
    (tmp_path / "queries.jsonl").write_text(QUERIES)
    (tmp_path / "qrels" / "test.tsv").write_text("q1\t99999\t1\n")
    start = time.perf_counter()
    assert len(load_beir(tmp_path).documents) == 100_000
    assert time.perf_counter() - start < 20  # about 2 s on one idle core


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))
ID = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    documents = tuple(
        Document(name, draw(ANY_TEXT), draw(ANY_TEXT.filter(str.strip)))
        for name in draw(st.lists(ID, min_size=1, max_size=6, unique=True))
    )
    queries = tuple(
        Query(name, draw(ANY_TEXT.filter(str.strip)))
        for name in draw(st.lists(ID, min_size=1, max_size=4, unique=True))
    )
    judgments = draw(
        st.dictionaries(
            st.sampled_from([query.id for query in queries]),
            st.dictionaries(
                st.sampled_from([document.id for document in documents]),
                st.integers(0, 3),
                min_size=1,
            ),
            min_size=1,
        )
    )
    return Collection("any", documents, queries, {"test": judgments}, digest="")


@settings(max_examples=60, deadline=None)
@given(collections())
def test_hostile_texts_survive_the_round_trip(collection: Collection) -> None:
    with tempfile.TemporaryDirectory() as name:
        dump(collection, Path(name))
        loaded = load_beir(Path(name))
        assert loaded.documents == collection.documents
        assert loaded.queries == collection.queries
        assert loaded.splits == collection.splits
        dump(loaded, Path(name))
        assert load_beir(Path(name)).digest == loaded.digest


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"]),
    st.integers(0, 200),
    st.binary(max_size=12),
)
def test_damage_anywhere_is_read_or_refused_in_one_line(file: str, at: int, noise: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "qrels").mkdir()
        for part, text in (("corpus", CORPUS), ("queries", QUERIES)):
            (root / f"{part}.jsonl").write_text(text)
        (root / "qrels" / "test.tsv").write_text(QRELS)
        data = (root / file).read_bytes()
        (root / file).write_bytes(data[:at] + noise + data[at + len(noise) :])
        try:
            load_beir(root)
        except InputError as error:
            assert_fit_to_print(error)

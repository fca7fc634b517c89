"""The training set is a pure function of its inputs, and holds any text unharmed."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.domain.documents import Document
from predator.domain.errors import InputError
from predator.learning.leakage import gold_marks, near_duplicates
from predator.learning.query_filters import FILTERS
from predator.learning.query_generation import Generated
from predator.learning.query_methods import METHODS
from predator.learning.query_text import without
from predator.loop.dataset import stage as dataset_stage
from predator.loop.dataset.stage import (
    COLUMNS,
    SPAN,
    build,
    inputs,
    main,
    masked_documents,
    read_rows,
    read_spans,
)
from predator.search.analyze import terms
from tests.learning.test_query_generation import written

Judged = tuple[str, str, str, int]

SOURCES = written(80, seed=6)
COUNTS = {*FILTERS, "judged_leak", "judged_unusable"}
HOSTILE = [
    "plain",
    "a,b",
    'say "hi"',
    '"',
    "line\nbreak",
    "carriage\rreturn",
    "both\r\n",
    "\n",
    "\r",
    "",
    " lead and trail ",
    "=1+1",
    '=HYPERLINK("http://x","y")',
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\x00",
    "\x85\u2028\u2029\x0b\x0c\x1c",
    "\ufeff",
    "запит 😀",
    "'; DROP TABLE x; --",
    "\\",
    "x y " * 25_000,
    "y " * 100_000,
    "z" * 100,
]
texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)


def laid_out(folder: Path, judged: list[Judged] | None = None, **changed: object) -> Path:
    given: dict[str, object] = {
        "documents": SOURCES,
        "judged": [("q1", "mean of array", "doc-1", 1)] if judged is None else judged,
        "gold_marks": [],
        "count": 40,
        "seed": 3,
        **changed,
    }
    for name, data in inputs(**given).items():  # type: ignore[arg-type]
        (folder / name).write_bytes(data)
    return folder


def test_the_same_inputs_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    one = build(laid_out(tmp_path / "one"))
    two = build(laid_out(tmp_path / "two"))
    three = build(laid_out(tmp_path / "three", seed=4))
    assert one == two
    assert one.data != three.data


def test_it_is_the_same_in_another_process_with_other_hashes(tmp_path: Path) -> None:
    folder, output = laid_out(tmp_path), tmp_path / "deep" / "data.csv"
    run = subprocess.run(
        [sys.executable, "-m", "predator.loop.dataset.stage", str(folder), str(output)],
        env={"PYTHONHASHSEED": "1", "LC_ALL": "C", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(json.loads(run.stdout)["dropped"]) == COUNTS
    assert [path.name for path in output.parent.iterdir()] == ["data.csv"]
    assert output.read_bytes() == build(folder).data


def test_judged_rows_come_first_and_generated_ones_say_how(tmp_path: Path) -> None:
    judged = [("q1", "mean of array", "doc-1", 2), ("q1", "mean of array", "doc-2", 0)]
    rows = read_rows(build(laid_out(tmp_path, judged)).data)
    assert [row[:4] for row in rows[:2]] == judged
    assert {row[4] for row in rows[:2]} == {"judgment"}
    generated = rows[2:]
    assert len(generated) == 40
    assert [row[0] for row in generated] == [f"gen-{i:05d}" for i in range(40)]
    assert {row[3] for row in generated} == {1}
    assert {row[2] for row in generated} <= {d.id for d in SOURCES}
    assert {row[4] for row in generated} <= set(METHODS)


def test_a_judged_query_that_is_called_like_a_generated_one_stays_apart(tmp_path: Path) -> None:
    judged = [("gen-00001", "mean of array", "doc-1", 1), ("gengen-", "sum of it all", "doc-1", 1)]
    rows = read_rows(build(laid_out(tmp_path, judged)).data)
    assert len({row[0] for row in rows}) == len(rows) == 42


def test_gold_questions_do_not_enter_in_any_words(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    judged = [("q1", "mean of arrays", "d", 1), ("q2", "sum of arrays", "d", 1)]
    free = read_rows(build(laid_out(tmp_path / "a", judged)).data)
    gold = [" ".join(reversed(row[1].upper().split())) for row in free[12:]]
    gold.append("Array of Means")
    built = build(laid_out(tmp_path / "b", judged, gold_marks=gold_marks(gold)))
    rows = read_rows(built.data)
    assert not near_duplicates([row[1] for row in rows], gold).any()
    assert [row[0] for row in rows if row[4] == "judgment"] == ["q2"]
    assert built.dropped["leak"] > 0
    assert built.dropped["judged_leak"] == 1


def test_no_word_of_gold_lies_beside_the_training_data(tmp_path: Path) -> None:
    marks = gold_marks(["confidential zebra question"])
    laid_out(tmp_path, gold_marks=marks)
    assert b"zebra" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_where_a_query_came_from_is_kept_for_the_learner(tmp_path: Path) -> None:
    data = build(laid_out(tmp_path)).data
    spans = read_spans(data)
    by_id = {document.id: document for document in SOURCES}
    for query_id, query, document, _, method in read_rows(data):
        assert (query_id in spans) or method in ("judgment", "inverse_cloze")
        if query_id in spans:
            bare = without(by_id[document], spans[query_id])
            assert query not in f"{bare.title} {bare.text}"
    assert len(spans) > 20


def test_what_queries_were_made_from_is_hidden_in_their_documents_and_nothing_else(
    tmp_path: Path,
) -> None:
    data = build(laid_out(tmp_path)).data
    spans, other = read_spans(data), Document("other", "", "Nobody made a query from this.")
    documents = [other, *SOURCES]
    hidden = masked_documents(data, documents)
    made = {row[2] for row in read_rows(data) if row[0] in spans}
    assert {documents[place].id for place in hidden} == made
    assert all(one.id == documents[place].id for place, one in hidden.items())
    bare = {one.id: f"{one.title} {one.text}" for one in hidden.values()}
    for query_id, query, document, _, _ in read_rows(data):
        assert query_id not in spans or query not in bare[document]


def test_datasets_of_before_have_no_spans_and_are_read_as_ever() -> None:
    old = b'"query_id","query","document_id","grade","source"\n"q","mean of it","d",1,"title"\n'
    assert read_rows(old) == [("q", "mean of it", "d", 1, "title")]
    assert read_spans(old) == {}


@pytest.mark.parametrize(
    "data", [b"h\na,b\n", b"h\na,b,c,x,e\n", b"\xff\xfe", b'h\n"' + b"x" * 200_000 + b'"\n']
)
def test_what_is_no_dataset_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(InputError, match="no dataset"):
        read_rows(data)


def test_what_a_query_writer_proposed_comes_first_and_is_sifted_too(tmp_path: Path) -> None:
    proposed = [
        Generated("which wizard turns zebras into tokens", "doc-1", "llm"),
        Generated("Which wizard turned the zebra into a token?", "doc-2", "llm"),
        Generated("secret golden question about things", "doc-3", "llm"),
        Generated("a\x00b\u202eshort", "doc-4", "llm"),
        Generated("of a document nobody knows here", "gone", "llm"),
    ]
    marks = gold_marks(["Secret golden questions, about things"])
    built = build(laid_out(tmp_path, written=proposed, gold_marks=marks))
    rows = [row for row in read_rows(built.data) if row[4] == "llm"]
    assert [row[1] for row in rows] == ["which wizard turns zebras into tokens", "a bshort"]
    assert (built.dropped["leak"], built.dropped["duplicate"]) == (1, 1)
    assert len(read_rows(built.data)) == 41


def test_lengths_are_learnt_from_judged_and_logged_queries_but_not_from_gold(
    tmp_path: Path,
) -> None:
    def lengths(folder: str, **given: object) -> set[int]:
        (tmp_path / folder).mkdir()
        rows = read_rows(build(laid_out(tmp_path / folder, **given)).data)  # type: ignore[arg-type]
        return {len(row[1].split()) for row in rows if row[4] != "judgment"}

    two = [("q1", "banded matrix", "doc-1", 1)]
    assert lengths("judged", judged=two) == {2}
    assert lengths("logged", judged=[], like=["banded matrix"]) == {2}
    marks = gold_marks(["banded matrix"])
    assert max(lengths("gold", judged=two, like=["banded matrix"], gold_marks=marks)) > 2


@pytest.mark.parametrize("count", [0, 40])
def test_judgments_that_call_nothing_relevant_are_refused_where_they_are_all_there_is(
    tmp_path: Path,
    count: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    judged = [("q1", "mean of array", "doc-1", 0), ("q2", "sum of array", "doc-1", -1)]
    folder = laid_out(tmp_path, judged, count=count)
    if count:
        assert len(read_rows(build(folder).data)) == 42
        return
    with pytest.raises(InputError, match="none of 2 judgments"):
        build(folder)
    monkeypatch.setattr(sys, "argv", ["stage", str(folder), str(tmp_path / "out")])
    assert main() == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("none of 2 judgments calls a document relevant")
    assert not (tmp_path / "out").exists()


@given(st.lists(st.tuples(texts, texts, texts, st.integers(0, 3)), max_size=8))
def test_any_text_comes_back_as_it_was(rows: list[Judged]) -> None:
    fitting = [row for row in rows if max(map(len, row[:3])) <= dataset_stage.LONGEST]
    data = dataset_stage._csv([(*row, "judgment", "") for row in fitting])
    assert read_rows(data) == [(*row, "judgment") for row in fitting]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_queries_and_ids_survive_the_stage_or_are_counted(
    tmp_path: Path, text: str
) -> None:
    judged = [(text, text, text, 1), ("after", "a question", "d", 1)]
    hostile = [Document(text, text, f"{text} is at the start of this long sentence.")]
    built = build(laid_out(tmp_path, judged, documents=[*hostile, *SOURCES[:5]]))
    rows = [row[:4] for row in read_rows(built.data) if row[4] == "judgment"]
    unusable = built.dropped["judged_unusable"]
    assert rows == judged[unusable:]
    assert unusable == (len(text) > dataset_stage.LONGEST or not terms(text))
    assert all(
        len(row) == len(COLUMNS) + 1
        for row in csv.reader(io.StringIO(built.data.decode(), newline=""))
    )


def test_half_a_surrogate_pair_stops_nothing(tmp_path: Path) -> None:
    judged = [("q\ud800", "mean of \ud800 array", "doc-1", 1)]
    assert len(read_rows(build(laid_out(tmp_path, judged)).data)) == 41


def test_other_readers_of_csv_agree(tmp_path: Path) -> None:
    usable = [text for text in HOSTILE if terms(text) and len(text) <= dataset_stage.LONGEST]
    judged = [(f"q{i}", text, "d", 1) for i, text in enumerate(usable)]
    data = build(laid_out(tmp_path, judged)).data
    table = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert tuple(table[0]) == (*COLUMNS, SPAN)
    assert [row["query"] for row in table[: len(usable)]] == usable


def test_nothing_in_is_a_header_out(tmp_path: Path) -> None:
    built = build(laid_out(tmp_path, [], documents=[]))
    assert read_rows(built.data) == []
    assert built.data.decode().count("\n") == 1
    assert set(built.dropped) == COUNTS
    assert set(built.dropped.values()) == {0}

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
from predator.loop import dataset_stage
from predator.loop.augment import fingerprint
from predator.loop.dataset_stage import COLUMNS, build, inputs, read_rows
from tests.search.fakes import documents

Judged = tuple[str, str, str, int]

SOURCES = documents(80, seed=6)
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
    "x" * 100_000,
]
texts = st.one_of(
    st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)


def laid_out(folder: Path, judged: list[Judged] | None = None, **changed: object) -> Path:
    given: dict[str, object] = {
        "documents": SOURCES,
        "judged": [("q1", "mean of array", "doc-1", 1)] if judged is None else judged,
        "gold_marks": [],
        "frequency": {"matrix": 30},
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
    one, _ = build(laid_out(tmp_path / "one"))
    two, _ = build(laid_out(tmp_path / "two"))
    three, _ = build(laid_out(tmp_path / "three", seed=4))
    assert one == two != three


def test_it_is_the_same_in_another_process_with_other_hashes(tmp_path: Path) -> None:
    folder = laid_out(tmp_path)
    outputs = []
    for seed in ("1", "2"):
        output = tmp_path / "deep" / seed / "data.csv"
        run = subprocess.run(
            [sys.executable, "-m", "predator.loop.dataset_stage", str(folder), str(output)],
            env={"PYTHONHASHSEED": seed, "LC_ALL": "C", "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        )
        assert set(json.loads(run.stdout)["dropped"]) == {
            "too_short", "duplicate", "leak", "judged_leak",
        }  # fmt: skip
        outputs.append(output.read_bytes())
        assert [path.name for path in output.parent.iterdir()] == ["data.csv"]
    assert outputs[0] == outputs[1] == build(folder)[0]


def test_judged_rows_come_first_and_generated_ones_say_how(tmp_path: Path) -> None:
    judged = [("q1", "mean of array", "doc-1", 2), ("q1", "mean of array", "doc-2", 0)]
    rows = read_rows(build(laid_out(tmp_path, judged))[0])
    assert [row[:4] for row in rows[:2]] == judged
    assert {row[4] for row in rows[:2]} == {"judgment"}
    generated = rows[2:]
    assert len(generated) == 40
    assert [row[0] for row in generated] == [f"gen-{i:05d}" for i in range(40)]
    assert {row[3] for row in generated} == {1}
    assert {row[2] for row in generated} <= {d.id for d in SOURCES}
    assert "judgment" not in {row[4] for row in generated}


def test_gold_queries_do_not_enter(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    judged = [("q1", "mean of arrays", "d", 1), ("q2", "sum of arrays", "d", 1)]
    free = read_rows(build(laid_out(tmp_path / "a", judged))[0])
    gold = [" ".join(reversed(row[1].upper().split())) for row in free[12:]]
    marks = [fingerprint(query) for query in [*gold, "Array of Means"]]
    data, dropped = build(laid_out(tmp_path / "b", judged, gold_marks=marks))
    rows = read_rows(data)
    assert not {fingerprint(row[1]) for row in rows} & set(marks)
    assert [row[0] for row in rows if row[4] == "judgment"] == ["q2"]
    assert dropped["leak"] >= len(set(gold))
    assert dropped["judged_leak"] == 1


@given(st.lists(st.tuples(texts, texts, texts, st.integers(0, 3)), max_size=8))
def test_any_text_comes_back_as_it_was(rows: list[Judged]) -> None:
    data = dataset_stage._csv([(*row, "judgment") for row in rows])
    assert read_rows(data) == [(*row, "judgment") for row in rows]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_queries_and_ids_survive_the_stage(tmp_path: Path, text: str) -> None:
    judged = [(text, text, text, 1), ("after", "q", "d", 0)]
    hostile = [Document(text, text, f"{text} is at the start of this long sentence.")]
    data, _ = build(laid_out(tmp_path, judged, documents=[*hostile, *SOURCES[:5]]))
    rows = read_rows(data)
    assert [row[:4] for row in rows[:2]] == judged
    assert all(
        len(row) == len(COLUMNS) for row in csv.reader(io.StringIO(data.decode(), newline=""))
    )


def test_other_readers_of_csv_agree(tmp_path: Path) -> None:
    judged = [(f"q{i}", text, "d", 1) for i, text in enumerate(HOSTILE)]
    data, _ = build(laid_out(tmp_path, judged))
    table = list(csv.DictReader(io.StringIO(data.decode(), newline="")))
    assert tuple(table[0]) == COLUMNS
    assert [row["query"] for row in table[: len(HOSTILE)]] == HOSTILE


def test_nothing_in_is_a_header_out(tmp_path: Path) -> None:
    data, dropped = build(laid_out(tmp_path, [], documents=[]))
    assert read_rows(data) == []
    assert data.decode().count("\n") == 1
    assert set(dropped.values()) == {0}

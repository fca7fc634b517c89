"""Every judged question says who judged it, in which file and line, and when it was asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predator.adapters.collections.beir import load_beir
from predator.adapters.collections.lineage import _time, beir_provenance, known_item_provenance
from predator.domain.canonical import sha256_hex
from predator.domain.documents import Collection, Document, Query
from predator.domain.gold_set import GoldRow, Lineage, Provenance


def folder(path: Path, *queries: dict[str, Any]) -> Path:
    (path / "qrels").mkdir()
    corpus = [{"_id": f"d{i}", "text": f"text {i}"} for i in range(4)]
    (path / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    given = [{"_id": f"q{i}", "text": f"question {i}", **one} for i, one in enumerate(queries)]
    (path / "queries.jsonl").write_text("\n".join(map(json.dumps, given)))
    (path / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\nq0\td1\t1\n\nq1\td2\t2\nq0\td0\t0\n"
    )
    (path / "qrels" / "train.tsv").write_text("q2 0 d3 1\nq1 0 d2 2\n")
    return path


def provenance(path: Path, *queries: dict[str, Any]) -> Provenance:
    made = folder(path, *queries)
    return beir_provenance(made, load_beir(made))


def test_a_judgment_is_found_in_its_file_and_line(tmp_path: Path) -> None:
    found = provenance(tmp_path, {}, {}, {}).lineage
    digest = sha256_hex((tmp_path / "qrels" / "test.tsv").read_bytes())
    assert found["q0"] == Lineage("judgment", "qrels/test.tsv", digest, (2, 5))
    assert (found["q1"].file, found["q1"].lines) == ("qrels/train.tsv", (2,))
    assert (found["q2"].file, found["q2"].lines) == ("qrels/train.tsv", (1,))


def test_what_a_query_says_of_itself_counts(tmp_path: Path) -> None:
    found = provenance(
        tmp_path,
        {"judgment_source": "click", "judge": "ann", "judged_at": "2024-05-01T00:00:00Z"},
        {"metadata": {"judgment_source": "generated", "timestamp": "2024-05-02"}},
        {"timestamp": 1714608000000, "metadata": {"timestamp": "2001-01-01", "judge": ["x"]}},
    )
    lineage = found.lineage
    assert (lineage["q0"].source, lineage["q0"].judge) == ("click", "ann")
    assert lineage["q0"].at == 1714521600
    assert lineage["q1"].source == "generated"
    assert found.asked_at == {"q1": 1714608000, "q2": 1714608000}
    assert lineage["q2"].judge == "['x']"


@pytest.mark.parametrize(
    "hostile", ["\ud800", "x" * 10_000, 7, None, ["judgment"], {"a": 1}, True, float("nan")]
)
def test_hostile_fields_never_pass_for_people(tmp_path: Path, hostile: object) -> None:
    found = provenance(tmp_path, {"judgment_source": hostile, "judge": hostile}, {}, {})
    lineage = found.lineage["q0"]
    assert lineage.source not in ("judgment", "known_item") and len(lineage.source) <= 200
    lineage.judge.encode()


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=40), st.just([]),
        st.datetimes().map(str), st.sampled_from(["nan", "inf", "-1", "1e400", "9" * 400]),
    )
)  # fmt: skip
def test_a_time_is_one_that_a_row_takes_or_there_is_none(value: object) -> None:
    at = _time(value)
    if at is not None:
        assert at >= 0
        GoldRow("q", "t", {"d": 1}, Lineage("judgment", "f", "a" * 64, (1,), at=at), at)


def test_known_items_are_their_authors(tmp_path: Path) -> None:
    data = Collection(
        "docs", [Document("d", "t", "x")], [Query("q", "t")], {"known-item": {"q": {"d": 1}}},
        "c" * 64, manifest={"harvester": "abc"},
    )  # fmt: skip
    [found] = known_item_provenance(data).lineage.values()
    assert (found.source, found.file, found.sha256) == ("known_item", "docs abc", "c" * 64)

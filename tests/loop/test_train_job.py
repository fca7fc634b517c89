"""A portfolio trained in a process of its own is the one that the loop would have trained."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from predator.adapters.trainer.local_process import LocalProcessTrainer
from predator.domain.documents import Document, Query
from predator.domain.errors import InputError, IntegrityError
from predator.learning.examples import collect
from predator.learning.splits import query_clusters
from predator.loop.dataset.stage import read_rows
from predator.loop.train import Portfolio, train_portfolio
from predator.loop.training import learn
from predator.loop.training import train_job as train_job_module
from predator.loop.training.portfolio_files import (
    DATASET,
    PORTFOLIO,
    Row,
    Submitted,
    job_inputs,
    job_spec,
    read_left_out,
    read_portfolio,
)
from predator.loop.training.train_job import round_trip, train_job
from predator.search.index import Index
from tests.contracts.trainer import JOB
from tests.learning.worlds import World, world
from tests.search.fakes import DIMENSION, HashedEncoder

SEED = 5
SPEC = job_spec(seed=SEED, dim=DIMENSION)
ENCODER = HashedEncoder()


def silent(_what: str, _done: int, _total: int) -> None:
    pass


def vectors_of(texts: list[str]) -> NDArray[np.float32]:
    return ENCODER.encode(texts) if texts else np.zeros((0, DIMENSION), np.float32)


def given_to_job(rows: list[Row], documents: list[Document]) -> dict[str, bytes]:
    texts = list(dict.fromkeys(row[1] for row in rows))
    return job_inputs(
        rows,
        documents,
        vectors_of([f"{document.title}. {document.text}" for document in documents]),
        texts,
        vectors_of(texts),
    )


def rows_of(small: World) -> list[Row]:
    """Judged queries, and as many generated ones; the last two of them find nothing."""
    judged: list[Row] = [
        (query.id, query.text, document, grade, "judgment")
        for query in small.queries
        for document, grade in small.judgments[query.id].items()
    ]
    made: list[Row] = [
        (f"gen-{number}", f"{query.text} filler{chr(97 + number)}", f"d{number}-0", 1, "title")
        for number, query in enumerate(small.queries[:10])
    ]
    lost: list[Row] = [(f"lost-{n}", f"topic{n}a", f"d{n + 20}-0", 1, "title") for n in range(2)]
    return [*judged, *made, *lost]


@pytest.fixture(scope="module")
def small() -> World:
    return world(30)


@pytest.fixture(scope="module")
def inputs(small: World) -> dict[str, bytes]:
    return given_to_job(rows_of(small), small.index.documents)


@pytest.fixture(scope="module")
def in_process(small: World) -> Portfolio:
    """The steps written out, on the index that the loop has."""
    rows = rows_of(small)
    judgments: dict[str, dict[str, int]] = {}
    for query_id, _, document, grade, _ in rows:
        judgments.setdefault(query_id, {})[document] = grade
    made = [Query(row[0], row[1]) for row in rows if row[4] != "judgment"]
    judged = collect(small.index, ENCODER, small.queries, judgments)
    generated = [e for e in collect(small.index, ENCODER, made, judgments) if round_trip(e)]
    assert 0 < len(generated) < len(made)
    return train_portfolio(
        small.index,
        judged,
        judgments,
        query_clusters(np.stack([ENCODER.encode_query(q.text) for q in small.queries]), SEED),
        SEED,
        generated=generated,
    )


def test_the_process_trains_what_the_loop_would_have_trained(
    tmp_path: Path, inputs: dict[str, bytes], in_process: Portfolio
) -> None:
    trainer = LocalProcessTrainer(
        tmp_path, {"portfolio": ["-P", "-m", "predator.loop.training.train_job"]}
    )
    trainer.start(JOB, "portfolio", inputs, SPEC)
    seen = []
    deadline = time.monotonic() + 120
    while (status := trainer.poll(JOB)).state == "running":
        if status.total and status not in seen:
            seen.append(status)
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (status.state, status.error, status.attempts) == ("completed", "", 1)
    assert (status.what, status.done, status.total) == ("portfolio", 12, 12)
    assert {one.what for one in seen} > {"fusion, fold 1 of 3"}
    assert read_portfolio(trainer.collect(JOB)) == [
        Submitted(
            one.name,
            one.scores.mean(),
            {**one.details, "round_trip_dropped": 1.0},
            one.retrieval,
            one.reranker,
        )
        for one in in_process.candidates
    ]
    assert status.usage["peak_rss_mb"] > 50


def test_every_step_is_counted(inputs: dict[str, bytes]) -> None:
    told: list[tuple[str, int, int]] = []
    train_job(inputs, SPEC, lambda *step: told.append(step))
    by_total: dict[int, list[int]] = {}
    for what, done, total in told:
        assert what
        by_total.setdefault(total, []).append(done)
    steps = [*range(1, 13), *range(13)]  # twelve generated queries, then twelve trainings
    assert by_total == {180: [0, 180], 30: list(range(1, 31)), 12: steps}


def test_without_generated_queries_there_is_no_candidate_of_theirs(small: World) -> None:
    rows = [row for row in rows_of(small) if row[4] == "judgment"]
    told: list[tuple[str, int, int]] = []
    files = train_job(
        given_to_job(rows, small.index.documents), SPEC, lambda *step: told.append(step)
    )
    assert {one.name for one in read_portfolio(files)} == {"fusion", "lambdamart"}
    assert told[-1] == ("portfolio", 8, 8)


def test_queries_without_words_and_huge_documents_are_trained_on(small: World) -> None:
    rows = rows_of(small)[:12]
    huge = Document("huge", "", "topic1a filler " * 50_000)
    for number, text in enumerate(["", " ", "?!"]):
        rows.append((f"empty-{number}", text, "d1-0", 1, "judgment"))
    assert read_portfolio(
        train_job(given_to_job(rows, [*small.index.documents[:72], huge]), SPEC, silent)
    )


def nothing_relevant(rows: list[Row]) -> list[Row]:
    return [(q, text, document, 0, source) for q, text, document, _, source in rows]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (nothing_relevant, "no training query has both a relevant and another document"),
        (lambda rows: [], "the dataset holds no query"),
        (lambda rows: rows[:2], "2 training queries do not make 3 groups"),
    ],
    ids=["one class", "no rows", "too few"],
)
def test_too_little_to_learn_from_is_one_clear_line(
    small: World, change: Callable[[list[Row]], list[Row]], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        train_job(given_to_job(change(rows_of(small)), small.index.documents), SPEC, silent)


def test_without_judgments_the_fusion_is_tuned_on_generated_queries(small: World) -> None:
    rows = [
        (f"gen-{n}", query.text, f"d{n}-0", 1, "title") for n, query in enumerate(small.queries)
    ]
    files = train_job(given_to_job(rows, small.index.documents), SPEC, silent)
    assert [one.name for one in read_portfolio(files)] == ["fusion"]
    assert "there are no judgments" in read_left_out(files)["lambdamart"]
    assert read_left_out(files)["cross_encoder"] == "there are no judgments"


class TestMasked:
    """What a query was made from is not in the document that it is learnt from."""

    def seen(
        self, monkeypatch: pytest.MonkeyPatch, small: World, rows: list[Row], place: int
    ) -> dict[str, str]:
        """The text of document ``place`` as each query's search saw it."""
        found: dict[str, str] = {}
        collected = collect

        def spy(index: Index, encoder: Any, queries: list[Query], *rest: Any, **more: Any) -> Any:
            document = index.documents[place]
            found.update({query.id: f"{document.title}|{document.text}" for query in queries})
            return collected(index, encoder, queries, *rest, **more)

        monkeypatch.setattr(train_job_module, "collect", spy)
        monkeypatch.setattr(learn, "collect", spy)
        documents = small.index.documents
        bare = replace(documents[place], title="", text="bare")
        texts = list(dict.fromkeys(row[1] for row in rows))
        inputs = job_inputs(
            rows,
            documents,
            vectors_of([f"{one.title}. {one.text}" for one in documents]),
            texts,
            vectors_of(texts),
            masked={place: bare},
            masked_vectors=vectors_of(["bare"]),
        )
        assert read_portfolio(train_job(inputs, SPEC, silent))
        return found

    def test_in_a_cycle_that_has_judgments_too(
        self, monkeypatch: pytest.MonkeyPatch, small: World
    ) -> None:
        found = self.seen(monkeypatch, small, rows_of(small), 0)
        whole = f"{small.index.documents[0].title}|{small.index.documents[0].text}"
        made = {query for query in found if not query.startswith("q")}
        assert {found[query] for query in made} == {"|bare"}
        assert {text for query, text in found.items() if query not in made} == {whole}

    def test_in_a_cycle_that_has_none(self, monkeypatch: pytest.MonkeyPatch, small: World) -> None:
        rows = [(f"gen-{n}", q.text, f"d{n}-0", 1, "title") for n, q in enumerate(small.queries)]
        assert set(self.seen(monkeypatch, small, rows, 3).values()) == {"|bare"}


def broken(name: str, number: float) -> Callable[[dict[str, bytes]], Mapping[str, bytes]]:
    bad = np.asarray([number], "<f4").tobytes()
    return lambda files: {**files, name: bad + files[name][4:]}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (broken("documents.f32", np.nan), "document vector 0 holds a number that is not finite"),
        (broken("queries.f32", np.inf), "query vector 0 holds a number that is not finite"),
        (lambda f: {**f, "documents.f32": f["documents.f32"][4:]}, "are not 180 vectors of 48"),
        (lambda f: {**f, "queries.f32": b""}, "0 bytes of query vectors are not"),
        (lambda f: {**f, "masked.f32": b"1234"}, "4 bytes of masked document vectors are not 0"),
        (
            lambda f: {**f, "queries.jsonl": f["queries.jsonl"].replace(b"topic3a", b"topicXa")},
            "no vector came with the query 'topic3a",
        ),
    ],
    ids=["nan", "infinite", "short", "none", "masked", "other queries"],
)
def test_vectors_that_do_not_fit_are_one_clear_line(
    inputs: dict[str, bytes],
    change: Callable[[dict[str, bytes]], Mapping[str, bytes]],
    says: str,
) -> None:
    with pytest.raises(InputError, match=says):
        train_job(change(inputs), SPEC, silent)


texts = st.text(max_size=30)


@given(
    st.lists(st.tuples(texts, texts, texts, st.integers(0, 3), texts), max_size=5),
    st.lists(
        st.builds(
            Document, texts, texts, texts, texts, texts, st.lists(texts, max_size=3).map(tuple)
        ),
        max_size=5,
    ),
)
def test_any_text_gets_through_unchanged(rows: list[Row], documents: list[Document]) -> None:
    files = job_inputs(
        rows,
        documents,
        vectors_of([d.text for d in documents]),
        ["a", "\n"],
        vectors_of(["a", "\n"]),
    )
    assert read_rows(files[DATASET]) == rows
    lines = [json.loads(line) for line in files["documents.jsonl"].splitlines()]
    assert lines == [{**asdict(d), "entities": list(d.entities)} for d in documents]
    assert [json.loads(line) for line in files["queries.jsonl"].splitlines()] == ["a", "\n"]


ROW: dict[str, Any] = {
    "name": "a",
    "ndcg_at_10_out_of_fold": 0.5,
    "details": {"trees": 3},
    "retrieval": {"fusion": "rrf"},
    "reranker": None,
    "tuned": False,
}


def test_the_best_candidate_comes_first() -> None:
    rows = [
        {**ROW, "name": name, "ndcg_at_10_out_of_fold": n} for name, n in (("a", 0.1), ("b", 0.9))
    ]
    assert [one.name for one in read_portfolio({PORTFOLIO: json.dumps(rows).encode()})] == [
        "b",
        "a",
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"[1]",
        b"[" * 100_000,
        *(
            json.dumps([{**ROW, **change}]).encode()
            for change in (
                {"ndcg_at_10_out_of_fold": float("nan")},
                {"ndcg_at_10_out_of_fold": "0.5"},
                {"details": {"trees": "many"}},
                {"details": None},
                {"retrieval": {"fusion": "magic"}},
                {"retrieval": {"depth": 10**9}},
                {"retrieval": {"shell": "ls"}},
                {"reranker": "reranker-1.json"},
            )
        ),
    ],
)
def test_a_portfolio_that_no_job_leaves_is_refused(content: bytes) -> None:
    with pytest.raises(IntegrityError, match="trained portfolio"):
        read_portfolio({PORTFOLIO: content})


def test_the_process_that_guards_a_job_loads_no_heavy_library() -> None:
    code = "import predator.adapters.trainer.guard, sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "predator.loop.training.job_child" in modules
    assert not {"numpy", "tantivy", "lightgbm", "sklearn", "asyncio"} & set(modules)

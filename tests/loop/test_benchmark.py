"""The benchmark's protocol: who learns from what, who judges on what, and what is reported."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from predator.adapters.object_store.folder import FolderObjectStore
from predator.domain.documents import Document, Judgments, Query
from predator.domain.release import Release, RetrievalParameters
from predator.domain.verdicts import Verdict
from predator.learning.query_generation import Generated, generate_queries
from predator.loop import benchmark_parts
from predator.loop.benchmark import Table, relevance_table
from predator.loop.benchmark_parts import Bench
from predator.loop.evaluate import Gates
from predator.loop.replica import Replica, keep_release
from predator.loop.train import Budget
from predator.loop.training.learn import Learner
from tests.learning.worlds import World, world
from tests.search.fakes import HashedEncoder

GATES = Gates(0.03, -0.02, 10.0, 1000, 100.0, 0.05, 0.8)


class Quiet:
    def station(self, name: str, detail: str = "") -> None: ...
    def note(self, text: str) -> None: ...
    def work(self, what: str, done: int, total: int) -> None: ...
    def close(self) -> None: ...


def bench_of(folder: Path, one: World, judgments: Judgments | None = None) -> Bench:
    objects, encoder = FolderObjectStore(folder / "objects"), HashedEncoder()

    def replica_of(documents: Sequence[Document]) -> Replica:
        return Replica.of(documents, encoder, encoder.encode, objects)

    def learner_of(replica: Replica, seed: int, judged: bool) -> Learner:
        return Learner(replica, seed, 1, Budget(), Quiet().work, judged)

    live = Release(encoder.digest, "schema", objects.put(b"rules"), RetrievalParameters())
    keep_release(objects, live)
    return Bench(
        replica_of(one.index.documents), live, one.queries, judgments or one.judgments, GATES,
        0.05, 0, Quiet(), learner_of, replica_of, 120,
    )  # fmt: skip


def split(one: World, first: int) -> Mapping[str, Judgments]:
    names = [query.id for query in one.queries]
    return {
        "train": {name: one.judgments[name] for name in names[:first]},
        "test": {name: one.judgments[name] for name in names[first:]},
    }


@pytest.fixture(scope="module")
def telling() -> World:
    return world(150)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def two_cycles(folder: Path, telling: World) -> Table:
    return relevance_table(bench_of(folder, telling), split(telling, 100), 0, 0, cycles=2)


def test_what_a_model_can_learn_is_promoted_and_reported_on_the_test_split(
    telling: World, two_cycles: Table
) -> None:
    first = two_cycles.cycles[0]
    assert first.evaluation.verdict is Verdict.PASS
    assert first.submitted == "lambdamart"
    test = tuple(query.id for query in telling.queries[100:])
    assert all(set(scores.queries) == set(test) for scores in two_cycles.systems.values())
    systems = two_cycles.systems
    assert systems["promoted"].mean() > systems["live"].mean() + 0.2
    assert {"bm25", "dense", "rrf", "zsum", "live", "fusion", "lambdamart", "promoted"} == set(
        systems
    )


def test_a_second_cycle_finds_nothing_more_and_promotes_nothing(two_cycles: Table) -> None:
    first, second = two_cycles.cycles
    assert second.evaluation.verdict is not Verdict.PASS
    assert second.gain is None
    np.testing.assert_array_equal(second.promoted.ndcg, first.promoted.ndcg)
    assert second.level["index"] == 2
    assert second.level["discoveries"] == 1


def test_the_table_is_json(two_cycles: Table) -> None:
    value = json.loads(json.dumps(two_cycles.to_json(), allow_nan=False))
    assert value["systems"]["promoted"]["queries"] == 50
    assert [cycle["verdict"] for cycle in value["cycles"]] == [
        str(cycle.evaluation.verdict) for cycle in two_cycles.cycles
    ]
    assert value["cycles"][0]["gain_over_the_last"]["rel"] > 0.2
    assert value["left_out"] == {
        "bi_encoder": "tuning the encoder is off (tune_encoder)",
        "cross_encoder": "reading texts is off (cross_encoder)",
    }


@pytest.mark.nightly
def test_labels_drawn_by_lot_are_not_promoted_cycle_after_cycle(tmp_path: Path) -> None:
    noisy = world(120, noise=True, seed=3)
    table = relevance_table(bench_of(tmp_path, noisy), {"test": noisy.judgments}, 0, 0, cycles=2)
    assert "5-fold" in table.protocol
    assert not any(cycle.evaluation.verdict is Verdict.PASS for cycle in table.cycles)
    np.testing.assert_array_equal(table.systems["promoted"].ndcg, table.systems["live"].ndcg)


def told(count: int) -> World:
    """Documents of sentences, which queries can be made from."""
    rng = np.random.default_rng(1)
    words = [f"{a}{b}" for a in "kmprst" for b in ("ado", "eli", "ino", "oru", "uma", "yxe")]
    documents = []
    for number in range(count):
        sentences = [
            " ".join(rng.choice(words, 9).tolist()).capitalize() + f" nr{number}x{s}."
            for s in range(4)
        ]
        documents.append(Document(f"d{number}", f"About {words[number % 36]}", " ".join(sentences)))
    queries = [Query(f"q{n}", " ".join(d.text.split()[3:8])) for n, d in enumerate(documents)]
    base = world(1)
    return replace(
        base,
        index=Replica.of(documents, HashedEncoder(), HashedEncoder().encode, None).index,  # type: ignore[arg-type]
        queries=queries,
        judgments={q.id: {d.id: 1} for q, d in zip(queries, documents, strict=True)},
    )


class TestWithoutLabels:
    def test_nothing_judged_is_learnt_from_or_gated_on(self, tmp_path: Path) -> None:
        one = told(150)
        honest = relevance_table(bench_of(tmp_path / "a", one), {}, 0, 0, labels="none")
        ids = [document.id for document in one.index.documents]
        wrong = {q: {ids[(n + 7) % len(ids)]: 1} for n, q in enumerate(one.judgments)}
        misled = relevance_table(bench_of(tmp_path / "b", one, wrong), {}, 0, 0, labels="none")
        assert honest.cycles[0].evaluation.gain == misled.cycles[0].evaluation.gain
        assert honest.cycles[0].submitted == misled.cycles[0].submitted == "fusion"
        assert honest.systems["promoted"].mean() != misled.systems["promoted"].mean()
        assert "no judgments" in honest.to_json()["left_out"]["lambdamart"]
        assert "proxy" in honest.protocol

    def test_documents_alone_are_learnt_from_and_the_report_says_what_it_is_of(
        self, tmp_path: Path
    ) -> None:
        bench = replace(bench_of(tmp_path, told(100)), queries=[], judgments={})
        table = relevance_table(bench, {}, 0, 0, labels="none")
        assert "nothing is judged" in table.protocol
        assert table.cycles[0].submitted == "fusion"
        reported = {scores.queries for scores in table.systems.values()}
        assert len(reported) == 1
        assert all(query.startswith("generated-") for query in reported.pop())

    def test_what_a_query_was_made_from_is_not_in_its_document(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        one, made = told(60), []
        original = generate_queries

        def spy(*given: object, **named: object) -> list[Generated]:
            made.extend(original(*given, **named))  # type: ignore[arg-type]
            return made

        monkeypatch.setattr(benchmark_parts, "generate_queries", spy)
        (part,), _ = benchmark_parts.label_free(bench_of(tmp_path, one), {})
        texts = {d.id: f"{d.title}\n{d.text}" for d in part.learning.index.documents}
        cut = [m for m in made if m.span is not None and m.method == "first_sentence"]
        assert cut
        assert not any(m.query.lower() in texts[m.document_id].lower() for m in cut)
        assert {q.id for q in part.fit}.isdisjoint(q.id for q in part.gate)
        assert len(part.report) == 60

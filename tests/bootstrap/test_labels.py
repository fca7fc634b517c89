"""What a run learns from, watches and decides by is kept sealed, private, and apart."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from predator.bootstrap.home import Run
from predator.bootstrap.labels import gold_now, gold_sets_of, labels_of, seal_labels
from predator.bootstrap.platform import objects_of
from predator.domain.documents import Document, Query
from predator.domain.errors import InputError, IntegrityError, PredatorError
from predator.domain.readings import Value
from predator.loop.gold.report import check_seal
from predator.loop.labels import Labels
from predator.search.serving.store import Store
from tests.domain.test_gold_set import gold_set, row

TRAINING = Query("t1", "sorting an array")
LIVE = Query("l1", "opening a file")
GOLD = gold_set(row(0, grades={"d0": 1}), row(1, grades={"d1": 2, "d2": 0}))


def labels() -> Labels:
    gold = [Query(one.query, one.text) for one in GOLD.rows]
    judgments = {"t1": {"d3": 1}, "l1": {"d4": 1}, **{r.query: r.grades for r in GOLD.rows}}
    return Labels([TRAINING], [LIVE], gold, judgments, GOLD)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


def edit(run: Run, change: Callable[[dict[str, Any]], object]) -> None:
    path = run.folder / "labels.json"
    value = json.loads(path.read_bytes())
    change(value)
    path.write_text(json.dumps(value))


def test_what_is_sealed_is_what_a_worker_opens(run: Run) -> None:
    sealed = seal_labels(run, labels(), ["d0", "d1"])
    found = labels_of(run)
    assert (found.training, found.live) == ((TRAINING,), (LIVE,))
    assert [query.id for query in found.gold] == ["q0", "q1"]
    assert found.judgments == {k: dict(v) for k, v in labels().judgments.items()}
    assert (found.seal, found.gold_set) == (sealed.seal, sealed.gold_set)
    check_seal(objects_of(run.folder), found)
    check_seal(objects_of(run.folder), sealed)


def test_gold_is_in_the_sealed_object_alone_and_files_are_for_their_owner(run: Run) -> None:
    seal_labels(run, labels(), ["d0"])
    text = (run.folder / "labels.json").read_text()
    assert "question 0" not in text and "q0" not in text
    for name in ("labels.json", "gold-set.json"):
        assert stat.S_IMODE((run.folder / name).stat().st_mode) == 0o600
    gold = objects_of(run.folder).path(labels_of(run).seal)
    assert stat.S_IMODE(gold.stat().st_mode) == 0o400


def test_the_next_wave_supersedes_and_the_same_wave_does_not(run: Run) -> None:
    first = seal_labels(run, labels(), ["d0"])
    again = seal_labels(run, labels(), ["d0"])
    wider = seal_labels(run, labels(), ["d0", "d1"])
    assert first.seal == again.seal != wider.seal
    assert [one.digest for one in gold_sets_of(run).versions()] == [wider.seal, first.seal]
    assert labels_of(run).seal == wider.seal


def test_gold_without_lineage_is_not_sealed(run: Run) -> None:
    with pytest.raises(InputError, match="who judged"):
        seal_labels(run, replace(labels(), gold_set=None), ["d0"])
    with pytest.raises(InputError, match="no judged queries"):
        labels_of(run)


def test_labels_that_would_teach_what_gold_says_are_refused(run: Run) -> None:
    seal_labels(run, labels(), ["d0"])
    edit(run, lambda value: value["training"].append({"id": "t2", "text": "Question 7"}))
    assert len(labels_of(run).training) == 2
    edit(run, lambda value: value["training"].append({"id": "t3", "text": "THE question, 1?"}))
    with pytest.raises(IntegrityError, match="'t3' learnt from, and Gold holds 'q1'"):
        labels_of(run)


def test_a_gold_query_under_another_text_is_not_learnt_from(run: Run) -> None:
    seal_labels(run, labels(), ["d0"])
    edit(run, lambda value: value["training"].append({"id": "q1", "text": "quite other words"}))
    with pytest.raises(IntegrityError, match="'q1'"):
        labels_of(run)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("gold_set"),
        lambda value: value.update(training=None),
        lambda value: value.update(live=[{"id": "x"}]),
        lambda value: value.update(judgments={"t1": 3}),
        lambda value: value.update(judgments={"t1": {"d": "many"}}),
    ],
)
def test_a_file_of_another_shape_holds_no_labels(
    run: Run, change: Callable[[dict[str, Any]], object]
) -> None:
    seal_labels(run, labels(), ["d0"])
    edit(run, change)
    with pytest.raises(InputError, match="no judged queries to learn from"):
        labels_of(run)


@pytest.mark.parametrize("digest", ["f" * 64, "../../etc/passwd", ""])
def test_a_file_that_names_another_gold_set_is_refused(run: Run, digest: str) -> None:
    seal_labels(run, labels(), ["d0"])
    edit(run, lambda value: value.update(gold_set=digest))
    with pytest.raises(IntegrityError, match="seal of the Gold set is broken"):
        labels_of(run)


def test_a_sealed_set_that_was_changed_is_not_opened(run: Run) -> None:
    seal = seal_labels(run, labels(), ["d0"]).seal
    path = run.folder / "objects" / seal[:2] / seal[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b'"d2":0', b'"d2":2'))
    with pytest.raises(IntegrityError, match="nothing is evaluated on it"):
        labels_of(run)


def test_the_age_of_gold_is_measured_against_the_platform(run: Run) -> None:
    seal_labels(run, labels(), ["d0", "d1", "d9"])
    with pytest.raises(PredatorError, match="cannot be read"):
        gold_now(run, 2e9)
    store = Store(run.database)
    known = [Document(name, name, "text") for name in ("d0", "d1", "d5", "d6")]
    store.put_documents(known, "indexed", 1.0).result()
    store.close()
    found = gold_now(run, 2e9)
    new, gone = found.readings["new_documents"], found.readings["gone_documents"]
    assert isinstance(new, Value) and (new.value, new.n) == (0.5, 4)
    assert isinstance(gone, Value) and (round(gone.value, 4), gone.n) == (0.3333, 3)
    assert found.to_json()["versions"][0]["digest"] == found.sealed.digest

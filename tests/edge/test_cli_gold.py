"""People see which questions decide, who judged them, and how far they can be trusted."""

from __future__ import annotations

import pytest

from predator.bootstrap.home import Run
from predator.bootstrap.labels import seal_labels
from predator.domain.documents import Document, Query
from predator.loop.labels import Labels
from predator.search.serving.store import Store
from tests.domain.test_gold_set import gold_set
from tests.edge.conftest import Commands, Founded


@pytest.fixture
def run(founded: Founded) -> Run:
    gold = gold_set()
    queries = [Query(one.query, one.text) for one in gold.rows]
    labels = Labels((), (), queries, {one.query: one.grades for one in gold.rows}, gold)
    seal_labels(founded.run, labels, ["d0"])
    seal_labels(founded.run, labels, ["d0", "d1"])
    store = Store(founded.run.database)
    store.put_documents([Document(n, n, "text") for n in ("d0", "d7")], "indexed", 1.0).result()
    store.close()
    return founded.run


def test_the_gold_set_is_shown_to_people_and_to_programs(commands: Commands, run: Run) -> None:
    text = commands.does("gold", "show")
    assert text.startswith("version 2, sealed ")
    for part in ("2 with 2 judgments", "2 judgment", "cluster: none of 3", "50.0% of 2", "v1"):
        assert part in text
    found = commands.json("gold", "show")
    assert found["version"] == 2 and found["supersedes"] == found["versions"][1]["digest"]
    assert found["readings"]["gone_documents"]["value"] == 0.5
    assert "question" not in str(found["split"]["by"]) and "question 0" not in str(found)


def test_a_set_that_was_changed_is_not_shown(commands: Commands, run: Run) -> None:
    digest = commands.json("gold", "show")["digest"]
    path = run.folder / "objects" / digest[:2] / digest[2:]
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"question 1", b"question 9"))
    line = commands.refuses("gold", "show", code=1)
    assert "the seal of the Gold set is broken" in line and "--fresh" in line


def test_without_a_run_or_labels_the_cure_is_told(commands: Commands, founded: Founded) -> None:
    assert "predator run" in commands.refuses("gold", "show")
    assert "predator run" in commands.refuses("gold", "show", "--set", "home=elsewhere")

"""Two releases answer recorded queries where no user sees it, by hand."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from predator.bootstrap.platform import desired_of, objects_of
from predator.bootstrap.rehearsal import found_rehearsal
from predator.config import load_settings
from predator.domain.release import RetrievalParameters
from predator.loop.replica import keep_release
from predator.search.serving.agent import load_release
from predator.search.serving.store import Store
from tests.edge.conftest import Commands, Founded
from tests.search.fakes import documents

WORDS = ("matrix", "vector", "norm", "graph", "edge", "sort", "array", "noise", "plot", "axis")


@pytest.fixture
def candidate(founded: Founded) -> str:
    """The digest of a release that is not live, on a platform with documents."""
    store = Store(founded.run.database)
    store.put_documents(documents(40), "indexed", time.time()).result(10)
    for number in range(40):
        text = f"{WORDS[number % 10]} {WORDS[number // 10]}"
        values = (f"q{number}", time.time(), text, None, "ann", "r", "", "", "[]", 1.0)
        store.write([("INSERT INTO ubi_queries VALUES (?,?,?,?,?,?,?,?,?,?)", values)])
    store.close()
    objects = objects_of(founded.run.folder)
    live = load_release(objects.get(desired_of(founded.run, "local").read().release.digest))
    return keep_release(
        objects, replace(live, retrieval=RetrievalParameters(fusion="bm25", depth=5))
    )


def test_a_candidate_is_compared_on_what_users_asked_lately(
    commands: Commands, candidate: str
) -> None:
    shown = commands.does("experiment", "shadow", candidate)
    assert shown.startswith("GO: nothing speaks against it")
    assert "40 queries" in shown and "overlap@10" in shown
    found = commands.json("experiment", "shadow", candidate, "--limit", "35")
    assert found["release"] == candidate and found["shadow"]["queries"] == 35
    assert 0 < found["shadow"]["overlap"] <= 1


def test_a_rehearsal_has_nothing_to_replay(commands: Commands, founded: Founded) -> None:
    found_rehearsal(load_settings({"home": founded.home.root, "contour": "dev-mac"}))
    assert "is a rehearsal" in commands.refuses("experiment", "shadow", "v1.0")


def test_a_release_that_finds_nothing_is_blocked_with_exit_code_1(
    commands: Commands, founded: Founded, candidate: str
) -> None:
    given = commands.folder / "queries.txt"
    given.write_text("\n".join(f"zzz{n} qqq" for n in range(60)))
    # Of words that stand nowhere, only a search by meaning finds anything.
    code, shown, _ = commands("experiment", "shadow", candidate, "--queries", str(given))
    assert (code, shown.partition(":")[0]) == (1, "NO_GO")
    assert "finds nothing for 60 queries" in shown
    code, shown, _ = commands(
        "experiment", "shadow", "v1.0", "--baseline", candidate, "--queries", str(given)
    )
    assert (code, shown.partition(":")[0]) == (0, "GO")


def test_what_names_no_release_or_holds_no_query_is_refused(
    commands: Commands, candidate: str
) -> None:
    assert "no release" in commands.refuses("experiment", "shadow", "v9.9")
    assert "no release" in commands.refuses("experiment", "shadow", candidate[:6])
    empty = commands.folder / "empty.txt"
    empty.write_text("\n \n")
    refused = commands.refuses("experiment", "shadow", candidate, "--queries", str(empty))
    assert "--queries" in refused
    empty.write_bytes(b"\xff\xfe\xff")
    refused = commands.refuses("experiment", "shadow", candidate, "--queries", str(empty))
    assert "UTF-8" in refused
    empty.write_text("x" * 2000)
    refused = commands.refuses("experiment", "shadow", candidate, "--queries", str(empty))
    assert "characters" in refused
    missing = commands.refuses("experiment", "shadow", candidate, "--queries", "nowhere.txt")
    assert "nowhere.txt" in missing

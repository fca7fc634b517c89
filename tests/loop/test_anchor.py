"""The end of a journal is kept in git, where whoever shortens the file cannot follow."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.gitops.memory import MemoryGitOps
from predator.domain.errors import ConflictError, IntegrityError
from predator.journal.audit import AuditJournal, read_journal
from predator.loop.anchor import Anchors, anchor, anchor_path, anchored_head, check_anchor
from predator.ports.gitops import GitOps
from tests.loop.recorded import CONTOUR, CYCLE, OTHER, Recorded, recorded


@pytest.fixture(params=["memory", "bare git"])
def gitops(request: pytest.FixtureRequest, tmp_path: Path) -> GitOps:
    return MemoryGitOps() if request.param == "memory" else BareGit(tmp_path / "gitops.git")


@pytest.fixture
def made(tmp_path: Path, gitops: GitOps) -> Recorded:
    """Closed, not yet anchored."""
    one = Recorded(tmp_path, gitops)
    one.open()
    one.close()
    return one


def test_says_where_the_journal_ends(made: Recorded, gitops: GitOps) -> None:
    revision = made.anchor()
    text = gitops.read(f"environments/{CONTOUR}/audit/{CYCLE}.json", revision)
    assert text is not None
    assert json.loads(text) == {
        "cycle_id": CYCLE,
        "contour": CONTOUR,
        "head": made.journal.head,
        "records": len(made.journal.read()),
        "outcome": "success",
    }
    newest = gitops.log(1)[0]
    assert newest.revision == revision
    assert (newest.trailers["Cycle"], newest.trailers["Step"]) == (CYCLE, "anchor")
    assert newest.trailers["Audit"] == made.journal.head
    assert check_anchor(gitops, CYCLE, made.journal.read()) == "anchored"
    assert anchored_head(gitops, CYCLE) == made.journal.head
    assert anchored_head(gitops, OTHER) is None


def test_again_commits_nothing(made: Recorded, gitops: GitOps) -> None:
    first = made.anchor()
    fresh = AuditJournal(made.folder / "audit.jsonl")
    assert anchor(gitops, CONTOUR, CYCLE, fresh) == first
    made.commit("something else")
    assert anchor(gitops, CONTOUR, CYCLE, fresh) == first
    assert [c.trailers["Step"] for c in gitops.log()].count("anchor") == 1


def test_an_open_journal_is_not_anchored(tmp_path: Path, gitops: GitOps) -> None:
    one = Recorded(tmp_path, gitops)
    one.open()
    head = gitops.head()
    with pytest.raises(ConflictError, match="still open"):
        one.anchor()
    assert gitops.head() == head
    assert check_anchor(gitops, CYCLE, one.journal.read()) == "open"
    assert check_anchor(gitops, OTHER, []) == "silent"


def test_nothing_follows_an_anchor(made: Recorded) -> None:
    made.anchor()
    with pytest.raises(ConflictError):
        made.journal.append({"type": "late"})
    assert made.journal.append_once("begin", {"type": "start"})


def test_another_head_is_not_anchored_over_the_first(
    made: Recorded, tmp_path: Path, gitops: GitOps
) -> None:
    made.anchor()
    forged = Recorded(tmp_path / "forged", gitops, seed=9)
    forged.journal.append({"type": "start"})
    forged.close()
    with pytest.raises(IntegrityError, match="another head"):
        forged.anchor()


def test_writers_that_race_for_the_repository_all_anchor(tmp_path: Path, gitops: GitOps) -> None:
    cycles = [Recorded(tmp_path, gitops, f"si_2025_12_07_{n:03d}") for n in range(1, 7)]
    failed: list[BaseException] = []

    def run(one: Recorded) -> None:
        try:
            one.journal.append({"type": "start"})
            one.close()
            one.anchor()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in cycles]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    heads = {one.cycle_id: one.journal.head for one in cycles}
    assert Anchors(gitops).anchored == heads


class TestWhatGitContradicts:
    def test_an_anchor_that_was_changed_later(self, made: Recorded, gitops: GitOps) -> None:
        made.anchor()
        path = anchor_path(CONTOUR, CYCLE)
        kept = json.loads(gitops.read(path) or "")
        gitops.commit(
            {path: json.dumps({**kept, "head": "f" * 64})}, "tidy up", {}, parent=gitops.head()
        )
        with pytest.raises(IntegrityError, match="as it is now"):
            check_anchor(gitops, CYCLE, made.journal.read())

    def test_an_anchor_that_is_no_json(self, made: Recorded, gitops: GitOps) -> None:
        made.anchor()
        gitops.commit({anchor_path(CONTOUR, CYCLE): "{"}, "oops", {}, parent=gitops.head())
        with pytest.raises(IntegrityError, match="as it is now"):
            check_anchor(gitops, CYCLE, made.journal.read())

    def test_a_second_anchor(self, made: Recorded, gitops: GitOps) -> None:
        made.anchor()
        anchors = Anchors(gitops)
        commits = anchors._commits[CYCLE]
        commits.insert(0, commits[0])
        with pytest.raises(IntegrityError, match="more than once"):
            anchors.check(CYCLE, made.journal.read())

    def test_a_commit_that_names_a_record_which_is_gone(
        self, tmp_path: Path, gitops: GitOps
    ) -> None:
        one = Recorded(tmp_path, gitops)
        one.open()
        path = one.folder / "audit.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        promoted = next(n for n, line in enumerate(lines) if b'"promotion"' in line)
        for kept in range(promoted + 1):
            path.write_bytes(b"".join(lines[:kept]))
            chain, broken = read_journal(path)
            assert broken == ""
            with pytest.raises(IntegrityError, match=r"\(promote\) names a record"):
                check_anchor(gitops, CYCLE, chain.records)
        path.write_bytes(b"".join(lines[: promoted + 1]))
        assert check_anchor(gitops, CYCLE, read_journal(path)[0].records) == "open"

    def test_a_cycle_under_another_name(
        self, made: Recorded, tmp_path: Path, gitops: GitOps
    ) -> None:
        made.anchor()
        other = recorded(tmp_path, gitops, OTHER, seed=1)
        for cycle_id, records in ((CYCLE, other.journal.read()), (OTHER, made.journal.read())):
            with pytest.raises(IntegrityError):
                check_anchor(gitops, cycle_id, records)

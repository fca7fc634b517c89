"""What every GitOps back end must do; a back end's test names itself and inherits this."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.errors import ConflictError, InputError
from predator.ports.gitops import GitOps

NOW = 1_765_000_000.75

BAD_PATHS = [
    *["", "/", ".", "..", "/etc/passwd", "../x", "a/../b", "a/..", "./a", "a/./b", "a//b", "a/"],
    *[".git", ".git/config", "a/.GIT/hooks/x", ".gitmodules", ".gitattributes", "a/.Git"],
    *["a\\b", "..\\x", "a\0b", "a\nb", "a b", "a:b", "C:x", "~/x", "-x", "a/-x", "a*", "a?"],
    *["a.", "a/b.", ".git.", "git~1", "а/б", "\u202etxt", "%2e%2e/x", "x" * 200, "a/" * 20 + "b"],
    *["\ud800", "a\u200bb", ".g\u200cit/config", "a\r", "a\t"],
]
BAD_TRAILERS = [
    {"Cycle": "si_1\nStep: promote"},
    {"Cycle": "a\rb"},
    {"Cycle": "a\0"},
    {"Cycle": "a\u2028b"},
    {"Cycle": "a\x85b"},
    {"Cycle": "\ud800"},
    {"Cycle": ""},
    {"Cycle": "   "},
    {"Cycle": "x" * 2000},
    {"": "x"},
    {"Cy cle": "x"},
    {"Cycle:": "x"},
    {"Cycle\n": "x"},
    {"Ключ": "x"},
    {"Cycle": "a", "CYCLE": "b"},
]


class GitOpsContract:
    def make(self, folder: Path) -> GitOps:
        """A fresh, empty back end whose clock says :data:`NOW`."""
        raise NotImplementedError

    @pytest.fixture
    def gitops(self, tmp_path: Path) -> GitOps:
        return self.make(tmp_path)

    def test_starts_empty(self, gitops: GitOps) -> None:
        assert gitops.head() is None
        assert gitops.read("values.yaml") is None
        assert list(gitops.log()) == []

    def test_what_was_committed_is_what_is_read(self, gitops: GitOps) -> None:
        changes = {"local/release.yaml": "release: a\n", "notes.md": "Привіт\r\n"}
        trailers = {"Cycle": "si_2025_12_07_001", "Step": "promote"}
        revision = gitops.commit(changes, "Promote a", trailers, parent=None)
        assert gitops.head() == revision
        assert gitops.read("local/release.yaml") == "release: a\n"
        assert gitops.read("notes.md") == "Привіт\r\n"
        [commit] = gitops.log()
        assert (commit.revision, commit.subject) == (revision, "Promote a")
        assert dict(commit.trailers) == trailers
        assert commit.at == float(int(NOW))

    def test_other_files_stay_and_old_revisions_can_be_read(self, gitops: GitOps) -> None:
        first = gitops.commit({"a/x": "1", "a/y": "1", "z": "1"}, "one", {}, parent=None)
        second = gitops.commit({"a/x": "2", "b/new": "2"}, "two", {}, parent=first)
        third = gitops.commit({"a/x": "1", "a/y": "1"}, "one again", {}, parent=second)
        assert [commit.revision for commit in gitops.log()] == [third, second, first]
        assert [gitops.read("a/x", revision) for revision in (first, second, third)] == [*"121"]
        assert [gitops.read("a/y"), gitops.read("z"), gitops.read("b/new")] == ["1", "1", "2"]
        assert gitops.read("b/new", first) is None
        assert len({first, second, third}) == 3

    def test_only_files_are_read(self, gitops: GitOps) -> None:
        gitops.commit({"a/b": "text"}, "s", {}, parent=None)
        assert gitops.read("a") is None
        assert gitops.read("a/b/c") is None
        assert gitops.read("a/c") is None

    def test_a_stale_writer_is_refused_and_changes_nothing(self, gitops: GitOps) -> None:
        first = gitops.commit({"a": "1"}, "one", {}, parent=None)
        second = gitops.commit({"a": "2"}, "two", {}, parent=first)
        for stale in (None, first, "f" * 40, "main", ""):
            with pytest.raises(ConflictError):
                gitops.commit({"a": "zombie"}, "late", {"Cycle": "c"}, parent=stale)
        assert gitops.head() == second
        assert gitops.read("a") == "2"
        assert len(gitops.log()) == 2

    def test_a_parent_that_never_was_is_refused(self, gitops: GitOps) -> None:
        with pytest.raises(ConflictError):
            gitops.commit({"a": "1"}, "one", {}, parent="f" * 40)
        assert gitops.head() is None

    def test_a_step_of_a_cycle_is_committed_once(self, gitops: GitOps) -> None:
        step = {"Cycle": "si_2025_12_07_001", "Step": "promote"}
        first = gitops.commit({"a": "1"}, "one", step, parent=None)
        head = gitops.commit({"a": "2"}, "two", {**step, "Step": "rollback"}, parent=first)
        for number in range(20):
            head = gitops.commit({"a": f"{number}"}, "more", {"Cycle": "c"}, parent=head)
        for parent in (None, first, head):
            assert gitops.commit({"a": "again"}, "again", step, parent=parent) == first
        assert gitops.head() == head
        assert len(gitops.log()) == 22

    def test_without_both_trailers_every_commit_counts(self, gitops: GitOps) -> None:
        head = None
        for trailers in ({"Cycle": "c"}, {"Cycle": "c"}, {"Step": "s"}, {"Step": "s"}, {}, {}):
            head = gitops.commit({"a": "same"}, "same", trailers, parent=head)
        assert len(gitops.log()) == 6

    def test_the_log_is_cut_at_its_limit(self, gitops: GitOps) -> None:
        head = None
        for number in range(5):
            head = gitops.commit({"a": f"{number}"}, f"number {number}", {}, parent=head)
        assert [commit.subject for commit in gitops.log(2)] == ["number 4", "number 3"]
        assert list(gitops.log(0)) == []

    @pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
    def test_no_path_leaves_the_repository(self, gitops: GitOps, path: str) -> None:
        with pytest.raises(InputError):
            gitops.commit({"fine": "1", path: "evil"}, "s", {}, parent=None)
        with pytest.raises(InputError):
            gitops.read(path)
        assert gitops.head() is None

    @pytest.mark.parametrize("trailers", BAD_TRAILERS, ids=lambda value: ascii(value)[:40])
    def test_no_trailer_forges_another(self, gitops: GitOps, trailers: dict[str, str]) -> None:
        with pytest.raises(InputError):
            gitops.commit({"a": "1"}, "s", trailers, parent=None)
        assert gitops.head() is None

    def test_a_subject_is_one_printable_line(self, gitops: GitOps) -> None:
        hostile = "Promote\n\nCycle: forged\nStep: forged \x1b[31m\u202e\ud800 " + "x" * 500
        gitops.commit({"a": "1"}, hostile, {}, parent=None)
        [commit] = gitops.log()
        assert commit.subject.startswith("Promote Cycle: forged Step: forged [31m x")
        assert len(commit.subject) <= 200
        assert dict(commit.trailers) == {}
        gitops.commit({"a": "2"}, "Cycle: x", {}, parent=commit.revision)
        assert (gitops.log()[0].subject, dict(gitops.log()[0].trailers)) == ("Cycle: x", {})

    def test_an_empty_subject_or_an_empty_commit_is_refused(self, gitops: GitOps) -> None:
        with pytest.raises(InputError):
            gitops.commit({"a": "1"}, " \n\t", {}, parent=None)
        with pytest.raises(InputError):
            gitops.commit({}, "nothing", {}, parent=None)

    def test_a_file_never_becomes_a_folder(self, gitops: GitOps) -> None:
        head = gitops.commit({"a/b": "1"}, "s", {}, parent=None)
        for changes in ({"a": "x"}, {"a/b/c": "x"}, {"n": "x", "n/m": "x"}):
            with pytest.raises(InputError):
                gitops.commit(changes, "s", {}, parent=head)
        assert gitops.head() == head

    def test_what_is_no_text_or_too_long_is_refused(self, gitops: GitOps) -> None:
        for text in ("\ud800", "x" * 1_000_001):
            with pytest.raises(InputError):
                gitops.commit({"a": text}, "s", {}, parent=None)
        assert gitops.head() is None

    def test_an_unknown_revision_is_named(self, gitops: GitOps) -> None:
        gitops.commit({"a": "1"}, "s", {}, parent=None)
        for revision in ("f" * 40, "main", "../x", "", "F" * 40, "HEAD", "f" * 39, "f" * 41):
            with pytest.raises(InputError):
                gitops.read("a", revision)

    def test_any_text_comes_back(self, gitops: GitOps) -> None:
        odd = st.sampled_from(["", "\r\n", "\0", "a\r", "\ufeff", "\U0001f40d\n"])

        @settings(max_examples=60, deadline=None)
        @given(text=st.text() | odd)
        def comes_back(text: str) -> None:
            head = gitops.commit({"d/file": text}, "any", {}, parent=gitops.head())
            assert gitops.read("d/file") == text
            assert gitops.read("d/file", head) == text

        comes_back()

    def test_of_racing_threads_one_wins_each_round(self, gitops: GitOps) -> None:
        racers, rounds = 8, 5
        start = Barrier(racers)

        def race(number: int) -> list[str | None]:
            revisions: list[str | None] = []
            for turn in range(rounds):
                start.wait()
                parent = gitops.head()
                start.wait()
                try:
                    change = {f"{turn}/{number}": "won"}
                    revisions.append(gitops.commit(change, "race", {}, parent=parent))
                except ConflictError:
                    revisions.append(None)
            return revisions

        with ThreadPoolExecutor(racers) as pool:
            results = list(pool.map(race, range(racers)))
        winners = [[row[turn] for row in results if row[turn]] for turn in range(rounds)]
        assert [len(round_winners) for round_winners in winners] == [1] * rounds
        assert [commit.revision for commit in reversed(gitops.log())] == [w for [w] in winners]

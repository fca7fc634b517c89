"""GTO's tags keep the contract; GTO and git read them, and nobody forges one unseen."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.releases.gto_git import GtoGitReleases
from predator.domain.canonical import canonical_json
from predator.domain.errors import ConflictError, InputError, IntegrityError
from predator.ports.gitops import GitOps
from predator.ports.releases import KeptRelease, Releases
from tests.contracts.releases import AT, ReleasesContract, entry


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "gc.auto=0"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestGtoGitReleases(ReleasesContract):
    def make(self, folder: Path) -> tuple[Releases, GitOps]:
        gitops = BareGit(folder / "gitops.git")
        return GtoGitReleases(folder / "gitops.git"), gitops


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    BareGit(tmp_path / "gitops.git").close()
    return tmp_path / "gitops.git"


def commits(repository: Path, count: int) -> list[str]:
    gitops, made = BareGit(repository), []
    for number in range(count):
        made.append(gitops.commit({"n": f"{number}"}, "s", {}, parent=gitops.head()))
    return made


def filled(repository: Path, count: int) -> list[KeptRelease]:
    """``count`` stable versions from v1.0 on; every third is Gold."""
    releases = GtoGitReleases(repository)
    for number, revision in enumerate(commits(repository, count), start=1):
        version = f"v{number}.0"
        releases.keep(entry(version, revision))
        releases.mark(version, "stable", AT)
        if number % 3 == 0:
            releases.mark(version, "gold", AT)
    return list(releases.list())


def shown_by_gto(folder: Path, name: str) -> list[Mapping[str, Any]]:
    from gto.api import show

    listed: list[Mapping[str, Any]] = show(str(folder), name)
    return listed


class TestOtherReaders:
    def test_gto_lists_versions_and_stages_in_a_clone(
        self, repository: Path, tmp_path: Path
    ) -> None:
        filled(repository, 12)
        git(tmp_path, "clone", "-q", str(repository), "clone")
        listed = shown_by_gto(tmp_path / "clone", "predator-release")
        assert {row["version"] for row in listed} == {f"v{n}.0.0" for n in range(1, 13)}
        # More than nine assignments within one second, in an order that spelling gets wrong.
        for stage in ("gold", "stable"):
            [newest] = shown_by_gto(tmp_path / "clone", f"predator-release#{stage}")
            assert newest["version"] == "v12.0.0"

    def test_gto_tells_the_history_and_who_wrote_it(self, repository: Path) -> None:
        from gto.api import history

        kept = filled(repository, 3)
        events = [
            (event["event"], event["version"], event["author"])
            for event in history(str(repository), "predator-release")
            if event["event"] in ("registration", "assignment")
        ]
        assert len(events) == 3 + 3 + 1
        assert {author for _, _, author in events} == {"Predator"}
        newest = shown_by_gto(repository, "predator-release@v3.0.0")[0]
        assert newest["commit_hexsha"] == kept[0].revision

    def test_gto_goes_on_where_we_stopped(self, repository: Path) -> None:
        from gto.api import assign

        filled(repository, 2)
        assign(str(repository), "predator-release", "canary", version="v1.0.0", author="a")
        tags = git(repository, "tag", "-l", "predator-release#canary*")
        assert tags == "predator-release#canary#3\n"

    def test_git_finds_nothing_wrong_and_shows_the_entry(self, repository: Path) -> None:
        filled(repository, 3)
        assert git(repository, "fsck", "--strict", "--full") == ""
        shown = git(repository, "tag", "-l", "--format=%(contents:subject)", "*@v2.0.0")
        assert shown.startswith("v2.0 is ")

    def test_everything_survives_packing_and_cloning(
        self, repository: Path, tmp_path: Path
    ) -> None:
        kept = filled(repository, 5)
        git(repository, "gc", "-q", "--prune=now")
        assert not list((repository / "refs" / "tags").iterdir())
        assert list(GtoGitReleases(repository).list()) == kept
        git(tmp_path, "clone", "-q", "--bare", str(repository), "years-later.git")
        clone = GtoGitReleases(tmp_path / "years-later.git")
        assert list(clone.list()) == kept
        [revision] = commits(tmp_path / "years-later.git", 1)
        clone.keep(entry("v6.0", revision))
        clone.mark("v6.0", "stable", AT)
        assert clone.mark("v6.0", "gold", AT).gold_at == AT
        with pytest.raises(ConflictError, match="never moves"):
            clone.keep(entry("v1.0", revision, digest="f" * 64))

    def test_an_open_register_sees_what_git_packs_and_what_others_keep(
        self, repository: Path
    ) -> None:
        ours, [first, second] = GtoGitReleases(repository), commits(repository, 2)
        ours.keep(entry("v1.0", first))
        git(repository, "gc", "-q", "--prune=now")
        GtoGitReleases(repository).keep(entry("v2.0", second))
        assert [e.version for e in ours.list()] == ["v2.0", "v1.0"]

    def test_registers_of_two_contours_share_a_repository(self, repository: Path) -> None:
        first, second = commits(repository, 2)
        here = GtoGitReleases(repository, artifact="predator-release-a")
        there = GtoGitReleases(repository, artifact="predator-release")
        here.keep(entry("v2.0", first))
        there.keep(entry("v2.0", second, digest="f" * 64))
        assert [e.revision for e in here.list()] == [first]
        assert [e.revision for e in there.list()] == [second]

    @pytest.mark.parametrize(
        "artifact", ["", "a/b", "..", "A", "a@b", "a#b", "-a", "a\n", "a" * 99]
    )
    def test_a_name_that_is_no_plain_word_is_refused(self, repository: Path, artifact: str) -> None:
        with pytest.raises(InputError, match="cannot name a release"):
            GtoGitReleases(repository, artifact=artifact)

    def test_what_is_no_bare_repository_is_refused(self, tmp_path: Path) -> None:
        for folder in (tmp_path, tmp_path / "none"):
            with pytest.raises(InputError, match="not a bare git repository"):
                GtoGitReleases(folder)


NAME = "predator-release@v1.0.0"


class TestForgery:
    """A tag that Predator did not write stops the register; it is never believed or skipped."""

    @pytest.fixture
    def kept(self, repository: Path) -> list[KeptRelease]:
        return filled(repository, 3)

    def refused(self, repository: Path) -> None:
        register = GtoGitReleases(repository)
        calls: list[Callable[[], object]] = [
            register.list,
            lambda: register.get("v2.0"),
            lambda: register.newest("gold"),
            lambda: register.mark("v2.0", "stable", AT),
            lambda: register.keep(entry("v9.0", "f" * 40)),
        ]
        for call in calls:
            with pytest.raises(IntegrityError):
                call()

    def test_a_tag_made_by_hand(self, repository: Path, kept: list[KeptRelease]) -> None:
        git(repository, "tag", "-a", "-m", "mine", "predator-release@v9.0.0", "main")
        self.refused(repository)
        git(repository, "tag", "-d", "predator-release@v9.0.0")
        assert list(GtoGitReleases(repository).list()) == kept

    def test_a_tag_without_an_object(self, repository: Path, kept: list[KeptRelease]) -> None:
        git(repository, "tag", "predator-release@v9.0.0", "main")
        self.refused(repository)

    def test_a_stage_given_by_hand(self, repository: Path, kept: list[KeptRelease]) -> None:
        text = canonical_json({"version": "v1.0", "stage": "gold", "at": AT}).decode()
        git(repository, "tag", "-a", "-m", f"x\n\n{text}", "predator-release#gold#99", "main")
        self.refused(repository)

    def test_a_version_withdrawn_by_gto(self, repository: Path, kept: list[KeptRelease]) -> None:
        from gto.api import deregister

        deregister(str(repository), "predator-release", version="v2.0.0", author="a")
        self.refused(repository)

    def test_a_tag_moved_to_another_version(
        self, repository: Path, kept: list[KeptRelease]
    ) -> None:
        other = git(repository, "rev-parse", "predator-release@v2.0.0").strip()
        git(repository, "update-ref", f"refs/tags/{NAME}", other)
        self.refused(repository)

    def test_a_stage_moved_to_another_stage(
        self, repository: Path, kept: list[KeptRelease]
    ) -> None:
        other = git(repository, "rev-parse", "predator-release#stable#2").strip()
        git(repository, "update-ref", "refs/tags/predator-release#stable#1", other)
        self.refused(repository)

    def test_a_text_that_tells_of_another_version(self, repository: Path) -> None:
        [revision] = commits(repository, 1)
        GtoGitReleases(repository).keep(entry("v1.0", revision))
        text = git(repository, "tag", "-l", "--format=%(contents)", NAME).strip()
        forged = text.replace('"v1.0"', '"v2.0"')
        git(repository, "tag", "-f", "-a", "-m", forged, NAME, revision)
        self.refused(repository)

    def test_a_text_with_one_field_changed(self, repository: Path, kept: list[KeptRelease]) -> None:
        good = git(repository, "tag", "-l", "--format=%(contents)", NAME).strip()
        for change in (
            good.replace('"v1.0"', '"v2.0"'),
            good.replace('"at":', '"when":'),
            good.replace('"digest":"', '"digest":"../'),
            good.replace("}", ',"more":1}'),
            good.replace('"ndcg":0.', '"ndcg":NaN,"x":0.'),
            good.rpartition("\n")[0],
            good.rpartition("{")[0] + "[" * 100_000,
            "",
        ):
            git(repository, "tag", "-f", "-a", "-m", change, NAME, kept[-1].revision)
            self.refused(repository)

    def test_bytes_damaged_on_disk(self, repository: Path, kept: list[KeptRelease]) -> None:
        name = git(repository, "rev-parse", NAME).strip()
        file = repository / "objects" / name[:2] / name[2:]
        good = file.read_bytes()
        file.chmod(0o644)
        for bad in (b"", good[:-9], good[: len(good) // 2], b"garbage"):
            file.write_bytes(bad)
            self.refused(repository)
        file.write_bytes(good)
        reference = repository / "refs" / "tags" / NAME
        for text in (b"", b"garbage", b"ref: refs/heads/main\n", b"\xff" * 40, b"a" * 39):
            reference.write_bytes(text)
            self.refused(repository)


def test_three_hundred_versions_are_read_at_once(repository: Path) -> None:
    releases = GtoGitReleases(repository)
    for number, revision in enumerate(commits(repository, 300), start=1):
        releases.keep(entry(f"v{number}.0", revision))
        if number % 10 == 0:
            releases.mark(f"v{number}.0", "stable", AT)
    kept = releases.list()
    assert len(kept) == 300
    for packed in (False, True):
        if packed:
            git(repository, "gc", "-q", "--prune=now")
        register = GtoGitReleases(repository)
        started = time.process_time()
        assert register.list() == kept
        first = time.process_time() - started
        started = time.process_time()
        assert register.get("v7.0").version == "v7.0"
        again = time.process_time() - started
        # 0.04 s and 0.01 s of an idle core.
        assert (first < 2.0, again < 0.5) == (True, True), f"{first:.3f} s, then {again:.3f} s"

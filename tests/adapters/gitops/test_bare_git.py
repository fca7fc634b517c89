"""The bare repository keeps the contract, and real git reads and writes it too."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.gitops.memory import MemoryGitOps
from predator.domain.errors import ConflictError, InputError, IntegrityError
from predator.ports.gitops import GitOps
from tests.contracts.gitops import NOW, GitOpsContract

STEP = {"Cycle": "si_2025_12_07_001", "Step": "promote"}


def git(folder: Path, *arguments: str, stdin: str | None = None) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@localhost", "-c", "gc.auto=0"]
    done = subprocess.run(
        ["git", *identity, *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestBareGit(GitOpsContract):
    def make(self, folder: Path) -> GitOps:
        return BareGit(folder / "gitops.git", now=lambda: NOW)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return tmp_path / "gitops.git"


class TestRealGit:
    def test_reads_what_we_wrote(self, repository: Path) -> None:
        gitops = BareGit(repository)
        first = gitops.commit(
            {"local/release.yaml": "r: 1\n", "a-b": "", "a/c": "x"}, "One", STEP, parent=None
        )
        second = gitops.commit(
            {"local/release.yaml": "r: 2\n", "a.b": "y"},
            "Друга",
            {**STEP, "Step": "k"},
            parent=first,
        )
        assert git(repository, "fsck", "--strict", "--full") == ""
        assert git(repository, "symbolic-ref", "HEAD") == "refs/heads/main\n"
        assert git(repository, "log", "--format=%H %s %an <%ae>").splitlines() == [
            f"{second} Друга Predator <predator@localhost>",
            f"{first} One Predator <predator@localhost>",
        ]
        trailers = git(repository, "log", "-1", "--format=%(trailers:key=Cycle,valueonly)", first)
        assert trailers.strip() == STEP["Cycle"]
        assert git(repository, "show", f"{second}:local/release.yaml") == "r: 2\n"
        assert "-r: 1\n+r: 2\n" in git(repository, "show", second)

    def test_clones_and_pushes_and_we_see_it(self, repository: Path, tmp_path: Path) -> None:
        gitops = BareGit(repository)
        first = gitops.commit({"values.yaml": "a: 1\n"}, "One", STEP, parent=None)
        git(tmp_path, "clone", "-q", str(repository), "clone")
        clone = tmp_path / "clone"
        (clone / "values.yaml").write_text("a: 2\n")
        message = "By hand\n\nWhy it was done.\n\nCycle: c\nStep: by-hand\n"
        git(clone, "commit", "-qam", message)
        git(clone, "push", "-q", "origin", "main")
        pushed = git(clone, "rev-parse", "HEAD").strip()
        assert gitops.head() == pushed
        assert gitops.read("values.yaml") == "a: 2\n"
        assert gitops.log()[0].subject == "By hand"
        with pytest.raises(ConflictError):
            gitops.commit({"values.yaml": "a: 3\n"}, "Late", {}, parent=first)
        by_hand = {"Cycle": "c", "Step": "by-hand"}
        assert gitops.commit({"values.yaml": "a: 4\n"}, "Late", by_hand, parent=first) == pushed

    def test_packs_refs_and_objects_under_us(self, repository: Path) -> None:
        gitops = BareGit(repository)
        first = gitops.commit({"a": "1"}, "One", STEP, parent=None)
        git(repository, "gc", "-q", "--prune=now")
        assert not (repository / "refs" / "heads" / "main").exists()
        for reader in (gitops, BareGit(repository)):
            assert reader.head() == first
            assert reader.read("a") == "1"
            assert reader.commit({"a": "no"}, "s", STEP, parent=None) == first
        with pytest.raises(ConflictError):
            gitops.commit({"a": "2"}, "stale", {}, parent=None)
        second = gitops.commit({"a": "2"}, "Two", {}, parent=first)
        assert BareGit(repository).head() == second
        assert git(repository, "fsck", "--strict") == ""

    def test_a_long_history_still_knows_every_step(self, repository: Path) -> None:
        gitops = BareGit(repository)
        stream = []
        for number in range(1, 1_201):
            message = f"s\n\nCycle: si_{number}\nStep: promote\n"
            stream.append(
                "commit refs/heads/main\n"
                f"committer P <p@localhost> {number} +0000\n"
                f"data {len(message)}\n{message}"
                f"M 100644 inline a\ndata {len(str(number))}\n{number}\n"
            )
        git(repository, "fast-import", "--quiet", stdin="".join(stream))
        head = gitops.head()
        oldest = git(repository, "rev-list", "--max-parents=0", "main").strip()
        step = {"Cycle": "si_1", "Step": "promote"}
        started = time.process_time()
        assert gitops.commit({"a": "again"}, "again", step, parent=head) == oldest
        assert time.process_time() - started < 20
        started = time.process_time()
        assert gitops.commit({"a": "again"}, "again", step, parent=head) == oldest
        assert time.process_time() - started < 2
        assert gitops.head() == head
        assert len(gitops.log(5_000)) == 1_200

    def test_a_rewritten_history_is_indexed_anew(self, repository: Path) -> None:
        gitops = BareGit(repository)
        first = gitops.commit({"a": "1"}, "One", {**STEP, "Step": "one"}, parent=None)
        lost = gitops.commit({"a": "2"}, "Two", STEP, parent=first)
        assert gitops.commit({"a": "2"}, "Two", STEP, parent=lost) == lost
        git(repository, "update-ref", "refs/heads/main", first)
        found = gitops.commit({"a": "3"}, "Three", STEP, parent=first)
        assert found != lost
        assert gitops.log()[0].subject == "Three"

    def test_a_merge_by_hand_hides_no_step(self, repository: Path, tmp_path: Path) -> None:
        gitops = BareGit(repository)
        gitops.commit({"a": "1"}, "One", {}, parent=None)
        git(tmp_path, "clone", "-q", str(repository), "clone")
        clone = tmp_path / "clone"
        git(clone, "checkout", "-qb", "side")
        (clone / "b").write_text("x")
        git(clone, "add", "b")
        git(clone, "commit", "-qm", "Side\n\nCycle: c\nStep: s\n")
        side = git(clone, "rev-parse", "HEAD").strip()
        git(clone, "checkout", "-q", "main")
        git(clone, "merge", "-q", "--no-ff", "-m", "Merge", "side")
        git(clone, "push", "-q", "origin", "main")
        trailers = {"Cycle": "c", "Step": "s"}
        assert gitops.commit({"b": "y"}, "again", trailers, parent=gitops.head()) == side


class TestOpening:
    def test_makes_the_repository_and_its_folders(self, tmp_path: Path) -> None:
        path = tmp_path / "deep" / "er" / "gitops.git"
        assert BareGit(path).head() is None
        assert git(path, "rev-parse", "--is-bare-repository") == "true\n"
        assert BareGit(path).head() is None
        assert sorted(file.name for file in path.parent.iterdir()) == [
            ".gitops.git.lock",
            path.name,
        ]

    def test_takes_one_that_git_made(self, tmp_path: Path) -> None:
        git(tmp_path, "init", "-q", "--bare", "mine")
        gitops = BareGit(tmp_path / "mine")
        assert gitops.commit({"a": "1"}, "s", {}, parent=None) == gitops.head()

    def test_refuses_what_is_no_bare_repository(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder" / "keep").write_text("x")
        git(tmp_path, "init", "-q", "worktree")
        for name in ("file", "folder", "worktree"):
            with pytest.raises(InputError, match=r"not a (bare )?git repository"):
                BareGit(tmp_path / name)
        assert (tmp_path / "folder" / "keep").read_text() == "x"

    def test_a_creation_cut_short_is_made_good(self, tmp_path: Path) -> None:
        half = tmp_path / ".gitops.git.new"
        half.mkdir()
        (half / "HEAD").write_text("ref:")
        assert BareGit(tmp_path / "gitops.git").head() is None
        assert not half.exists()


class TestDamage:
    def test_a_damaged_object_is_refused(self, repository: Path) -> None:
        gitops = BareGit(repository)
        gitops.commit({"a": "hello"}, "s", {}, parent=None)
        for file in [p for p in (repository / "objects").glob("??/*") if p.is_file()]:
            good = file.read_bytes()
            file.chmod(0o644)
            for bad in (b"", good[:-8], good[: len(good) // 2], b"garbage", good[::-1]):
                file.write_bytes(bad)
                with pytest.raises(IntegrityError):
                    gitops.read("a")
            file.write_bytes(good)
        assert gitops.read("a") == "hello"

    def test_an_object_under_a_wrong_name_is_refused(self, repository: Path) -> None:
        gitops = BareGit(repository)
        first = gitops.commit({"a": "old"}, "s", {}, parent=None)
        gitops.commit({"a": "new"}, "s", {}, parent=first)
        old, new = (
            repository / "objects" / name[:2] / name[2:]
            for name in (git(repository, "rev-parse", f"main{at}:a").strip() for at in ("~1", ""))
        )
        new.chmod(0o644)
        new.write_bytes(old.read_bytes())
        with pytest.raises(IntegrityError):
            gitops.read("a")

    @pytest.mark.parametrize(
        "text", [b"", b"garbage", b"ref: refs/heads/x\n", b"a" * 39, b"\0" * 40]
    )
    def test_a_damaged_branch_is_refused(self, repository: Path, text: bytes) -> None:
        gitops = BareGit(repository)
        gitops.commit({"a": "1"}, "s", {}, parent=None)
        (repository / "refs" / "heads" / "main").write_bytes(text)
        with pytest.raises(IntegrityError):
            gitops.head()

    def test_a_binary_file_and_a_link_are_no_text(self, repository: Path, tmp_path: Path) -> None:
        gitops = BareGit(repository)
        gitops.commit({"a": "1"}, "s", {}, parent=None)
        git(tmp_path, "clone", "-q", str(repository), "clone")
        (tmp_path / "clone" / "binary").write_bytes(b"\xff\xfe")
        (tmp_path / "clone" / "link").symlink_to("/etc/passwd")
        git(tmp_path / "clone", "add", ".")
        git(tmp_path / "clone", "commit", "-qm", "hostile")
        git(tmp_path / "clone", "push", "-q", "origin", "main")
        with pytest.raises(InputError, match="binary"):
            gitops.read("binary")
        assert gitops.read("link") is None


def test_polling_the_head_is_cheap(repository: Path) -> None:
    gitops = BareGit(repository)
    gitops.commit({"values.yaml": "a: 1\n"}, "s", {}, parent=None)
    started = time.process_time()
    for _ in range(1_000):
        gitops.head()
    assert (time.process_time() - started) / 1_000 < 0.003


changes_strategy = st.dictionaries(
    st.sampled_from(["a", "a/b", "a/b/c", "b", "b/x", "c.yaml"]), st.text(max_size=5), max_size=3
)
trailers_strategy = st.fixed_dictionaries(
    {},
    optional={"Cycle": st.sampled_from(["c1", "c2"]), "Step": st.sampled_from(["s1", "s2", "\n"])},
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(changes_strategy, trailers_strategy, st.booleans()), max_size=8))
def test_memory_and_bare_git_answer_alike(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[dict[str, str], dict[str, str], bool]],
) -> None:
    real: GitOps = BareGit(tmp_path_factory.mktemp("git") / "r", now=lambda: NOW)
    memory: GitOps = MemoryGitOps(now=lambda: NOW)
    names: dict[str | None, str | None] = {None: None}

    def attempt(gitops: GitOps, step: tuple[dict[str, str], dict[str, str], bool]) -> str | type:
        changes, trailers, stale = step
        head = gitops.head()
        try:
            parent = "0" * 40 if stale else head
            return gitops.commit(changes, "subject", trailers, parent=parent)
        except (ConflictError, InputError) as error:
            return type(error)

    for step in steps:
        ours, theirs = attempt(real, step), attempt(memory, step)
        if isinstance(ours, str) and isinstance(theirs, str):
            assert names.setdefault(ours, theirs) == theirs
        else:
            assert ours == theirs
        assert names[real.head()] == memory.head()
        for path in ("a", "a/b", "a/b/c", "b", "b/x", "c.yaml"):
            assert real.read(path) == memory.read(path)
    assert [(names[c.revision], c.subject, dict(c.trailers), c.at) for c in real.log()] == [
        (c.revision, c.subject, dict(c.trailers), c.at) for c in memory.log()
    ]

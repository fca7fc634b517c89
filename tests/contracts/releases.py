"""What every register of releases must do; a back end's test names itself and inherits this."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from predator.domain.canonical import sha256_hex
from predator.domain.errors import ConflictError, InputError
from predator.ports.gitops import GitOps
from predator.ports.releases import KeptRelease, Releases

AT = 1_765_000_000.25

BAD_VERSIONS: list[Any] = [
    *["", "v", "2.0", "v2", "v2.0.0", "v02.0", "v2.00", "v-1.0", "v2.0\n", " v2.0", "V2.0"],
    *["v2.0/../../HEAD", "../v2.0", "v2.0.lock", "v2.0@{0}", "v2.0!", "v2.0#1", "v2.0~1", "v٢.0"],
    *["v2.0\0", "v2,0", "v2.0-rc.1", "v2.0+x", "vv2.0", f"v{'9' * 10}.0", f"v1.{'9' * 400}"],
    *["$(id)", "v1.0;id", "\ud800", "HEAD", "latest", "greatest", "v2.0 v3.0", None, 2.0, ["v2.0"]],
]
BAD_FIELDS: list[tuple[str, Any]] = [
    *[("digest", value) for value in ("", "a" * 63, "A" * 64, "a" * 64 + "\n", None, 1, "../x")],
    *[("revision", value) for value in ("", "main", "HEAD", "F" * 40, "f" * 39, "f" * 64, None)],
    *[("cycle_id", value) for value in ("", "a b", "a\nb", "../x", "x" * 65, "\ud800", None)],
    *[("ndcg", value) for value in (float("nan"), float("inf"), -0.1, 1.01, "0.7", True)],
    *[("at", value) for value in (float("nan"), float("inf"), -1.0, 1e300, "now", None, True)],
    *[("gold_set", value) for value in ("a", "g" * 64, None, 7)],
    *[("dataset", value) for value in ("main", "a" * 64, None, 7)],
]


def entry(version: str, revision: str, /, **changes: Any) -> KeptRelease:
    made = KeptRelease(
        version,
        sha256_hex(version.encode()),
        revision,
        "si_2025_12_07_001",
        AT,
        ndcg=0.7312345678901234,
        gold_set="a" * 64,
        dataset="b" * 40,
    )
    return replace(made, **changes)


class ReleasesContract(ABC):
    @abstractmethod
    def make(self, folder: Path) -> tuple[Releases, GitOps]:
        """An empty register, and the GitOps repository whose revisions it names."""

    @pytest.fixture
    def made(self, tmp_path: Path) -> tuple[Releases, GitOps]:
        return self.make(tmp_path)

    @pytest.fixture
    def releases(self, made: tuple[Releases, GitOps]) -> Releases:
        return made[0]

    @pytest.fixture
    def commit(self, made: tuple[Releases, GitOps]) -> Callable[[], str]:
        gitops, numbers = made[1], iter(range(1000))

        def fresh() -> str:
            return gitops.commit({"n": str(next(numbers))}, "s", {}, parent=gitops.head())

        return fresh

    def test_starts_empty(self, releases: Releases) -> None:
        assert list(releases.list()) == []
        assert releases.newest("stable") is None
        assert releases.newest("gold") is None
        with pytest.raises(InputError, match=r"no release v1\.0"):
            releases.get("v1.0")

    def test_what_was_kept_is_what_is_found(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        full = entry("v2.0", commit())
        bare = entry("v3.0", commit(), ndcg=None, gold_set="", dataset="", cycle_id="bootstrap")
        for release in (full, bare):
            assert releases.keep(release) == release
            assert releases.get(release.version) == release
        assert list(releases.list()) == [bare, full]

    def test_versions_are_listed_by_number_not_by_spelling_or_time(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        for at, version in enumerate(("v10.0", "v9.0", "v2.1", "v2.10", "v100.0", "v2.2")):
            releases.keep(entry(version, commit(), at=float(at)))
        assert [e.version for e in releases.list()] == [
            *("v100.0", "v10.0", "v9.0", "v2.10", "v2.2", "v2.1")
        ]

    def test_keeping_again_changes_nothing(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        first = releases.keep(entry("v2.0", commit()))
        again = replace(first, at=AT + 9, revision=commit(), ndcg=0.9, cycle_id="another")
        assert releases.keep(again) == first
        assert list(releases.list()) == [first]

    def test_a_version_never_moves(self, releases: Releases, commit: Callable[[], str]) -> None:
        first = releases.keep(entry("v2.0", commit()))
        releases.mark("v2.0", "stable", AT)
        for revision in (first.revision, commit()):
            with pytest.raises(ConflictError, match="a version never moves"):
                releases.keep(entry("v2.0", revision, digest="f" * 64))
        assert releases.get("v2.0") == replace(first, stable_at=AT)

    def test_one_commit_is_one_version(self, releases: Releases, commit: Callable[[], str]) -> None:
        revision = commit()
        releases.keep(entry("v2.0", revision))
        with pytest.raises(ConflictError, match=r"is v2\.0 already"):
            releases.keep(entry("v3.0", revision))
        assert [e.version for e in releases.list()] == ["v2.0"]

    def test_the_same_bundle_may_come_back_as_another_version(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        first = releases.keep(entry("v2.0", commit()))
        again = releases.keep(entry("v4.0", commit(), digest=first.digest))
        assert [e.digest for e in releases.list()] == [again.digest, first.digest]

    def test_a_revision_has_to_be_there(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        commit()
        with pytest.raises(InputError, match="f" * 40):
            releases.keep(entry("v2.0", "f" * 40))
        assert list(releases.list()) == []

    def test_a_version_goes_from_kept_to_stable_to_gold(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        kept = releases.keep(entry("v2.0", commit()))
        assert (kept.stable_at, kept.gold_at) == (None, None)
        with pytest.raises(ConflictError, match="not stable"):
            releases.mark("v2.0", "gold", AT)
        assert releases.mark("v2.0", "stable", AT + 1) == replace(kept, stable_at=AT + 1)
        both = replace(kept, stable_at=AT + 1, gold_at=AT + 2)
        assert releases.mark("v2.0", "gold", AT + 2) == both
        assert releases.get("v2.0") == both
        assert releases.newest("stable") == releases.newest("gold") == both

    def test_marking_again_changes_nothing(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        releases.keep(entry("v2.0", commit()))
        for at in (AT, AT + 5, AT - 5):
            assert releases.mark("v2.0", "stable", at).stable_at == AT
        for at in (AT, AT + 5, AT - 5):
            assert releases.mark("v2.0", "gold", at).gold_at == AT

    def test_stages_given_in_a_kept_entry_are_not_believed(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        forged = entry("v2.0", commit(), stable_at=AT, gold_at=AT)
        assert releases.keep(forged).stable_at is None
        assert releases.newest("gold") is None

    def test_gold_stays_with_each_version_and_its_newest_never_goes_back(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        for version in ("v2.0", "v3.0", "v4.0"):
            releases.keep(entry(version, commit()))
            releases.mark(version, "stable", AT)
        releases.mark("v2.0", "gold", AT)
        releases.mark("v4.0", "gold", AT)
        releases.mark("v2.0", "gold", AT + 9)
        with pytest.raises(ConflictError, match=r"v4\.0 is Gold, and newer"):
            releases.mark("v3.0", "gold", AT + 10)
        assert [e.version for e in releases.list() if e.gold_at is not None] == ["v4.0", "v2.0"]
        newest = releases.newest("gold")
        assert newest is not None
        assert newest.version == "v4.0"

    @pytest.mark.parametrize("version", BAD_VERSIONS, ids=ascii)
    def test_a_version_is_two_plain_numbers(
        self, releases: Releases, commit: Callable[[], str], version: Any
    ) -> None:
        with pytest.raises(InputError):
            releases.keep(entry("v1.0", commit(), version=version))
        with pytest.raises(InputError):
            releases.mark(version, "stable", AT)
        with pytest.raises(InputError):
            releases.get(version)
        assert list(releases.list()) == []

    @pytest.mark.parametrize("field, value", BAD_FIELDS, ids=ascii)
    def test_a_field_that_cannot_be_true_is_refused(
        self, releases: Releases, commit: Callable[[], str], field: str, value: Any
    ) -> None:
        with pytest.raises(InputError):
            releases.keep(entry("v1.0", commit(), **{field: value}))
        assert list(releases.list()) == []

    def test_a_stage_is_stable_or_gold_and_has_a_time(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        releases.keep(entry("v1.0", commit()))
        bad: Any
        for bad in ("", "Gold", "gold#1", "champion", None):
            with pytest.raises(InputError, match="no stage"):
                releases.mark("v1.0", bad, AT)
            with pytest.raises(InputError, match="no stage"):
                releases.newest(bad)
        for bad in (float("nan"), -1, None, "now"):
            with pytest.raises(InputError, match="not a time"):
                releases.mark("v1.0", "stable", bad)
        assert releases.get("v1.0").stable_at is None

    def test_of_sixteen_who_want_one_version_one_gets_it(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        racers, revision = 16, commit()
        start = Barrier(racers)

        def race(number: int) -> str | None:
            start.wait()
            try:
                return releases.keep(entry("v2.0", revision, digest=f"{number:064x}")).digest
            except ConflictError:
                return None

        with ThreadPoolExecutor(racers) as pool:
            won = [digest for digest in pool.map(race, range(racers)) if digest]
        assert won == [releases.get("v2.0").digest]
        assert len(releases.list()) == 1

    def test_sixteen_who_keep_and_mark_the_same_see_the_same(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        racers, release = 16, entry("v2.0", commit())
        start = Barrier(racers)

        def race(number: int) -> KeptRelease:
            start.wait()
            releases.keep(replace(release, at=AT + number))
            releases.mark("v2.0", "stable", AT + number)
            return releases.mark("v2.0", "gold", AT + number)

        with ThreadPoolExecutor(racers) as pool:
            assert set(pool.map(race, range(racers))) == {releases.get("v2.0")}

    def test_any_sound_entry_comes_back(
        self, releases: Releases, commit: Callable[[], str]
    ) -> None:
        numbers = iter(range(1, 1000))
        ndcg = st.none() | st.floats(0, 1)

        @settings(max_examples=30, deadline=None)
        @given(ndcg=ndcg, at=st.floats(0, 2**37), cycle=st.from_regex(r"\A[A-Za-z0-9_]{1,64}\Z"))
        def comes_back(ndcg: float | None, at: float, cycle: str) -> None:
            version = f"v{next(numbers)}.0"
            release = entry(version, commit(), ndcg=ndcg, at=at, cycle_id=cycle)
            assert releases.keep(release) == release
            assert releases.get(version) == release

        comes_back()

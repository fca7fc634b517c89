"""What every deployer must do; a back end's test names itself and inherits this."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from predator.domain.errors import InputError, PredatorError
from predator.ports.deployer import Deployer, Deployment
from predator.search.desired import Holdback, RunningExperiment
from tests.adapters.platform.platforms import Place

SOON_S = 10.0


class DeployerContract:
    soon_s = SOON_S
    """How long what can be applied may take."""
    bad_s = 0.5
    """How long what cannot is waited for."""

    def deployed(self, place: Place) -> AbstractContextManager[Deployer]:
        """A deployer of the contour that ``place`` describes, running until the end."""
        raise NotImplementedError

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return Place(tmp_path)

    @pytest.fixture
    def deployer(self, place: Place) -> Iterator[Deployer]:
        with self.deployed(place) as deployer:
            yield deployer

    @pytest.fixture
    def releases(self, place: Place) -> list[str]:
        return [place.release(depth=depth).digest for depth in (10, 20, 30)]

    def test_before_the_first_release_nothing_is_healthy(self, deployer: Deployer) -> None:
        found = deployer.status()
        assert (found.release, found.revision, found.healthy) == ("", "", False)

    def test_what_git_says_is_applied(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        for number, digest in enumerate(releases):
            revision = place.commit(f"v{number}", digest)
            found = deployer.wait(revision, self.soon_s)
            assert (found.release, found.revision) == (digest, revision)
            assert found.healthy and found.detail == ""
            assert deployer.status() == found

    def test_a_commit_that_changes_no_release_is_applied_too(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        place.commit("v0", releases[0])
        revision = place.desired.end_watch("Keep", {})
        found = deployer.wait(revision, self.soon_s)
        assert (found.release, found.revision) == (releases[0], revision)

    def test_an_experiment_is_applied_and_the_release_stays(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        live, candidate, _ = releases
        deployer.wait(place.commit("v0", live), self.soon_s)
        experiment = RunningExperiment("exp", "ranking", candidate, 0.2)
        revision = place.desired.set_experiment(experiment, "Start", {"Cycle": "t", "Step": "exp"})
        found = deployer.wait(revision, self.soon_s)
        assert (found.release, found.revision, found.healthy) == (live, revision, True)
        deployer.flip(candidate)  # it is loaded in every pod
        assert deployer.status().release == candidate

    def test_what_the_look_raises_ends_the_wait(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        """A stop by a person has to reach it."""
        seen: list[str] = []

        def look(found: Deployment) -> None:
            seen.append(found.release)
            raise InputError("stopped")

        deployer.wait(place.commit("v0", releases[0]), self.soon_s)
        with pytest.raises(InputError, match="stopped"):
            deployer.wait("e" * 40, self.soon_s, look)
        assert seen == [releases[0]]

    def test_a_later_revision_covers_an_earlier_one(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        """Whoever comes late must not wait for ever for what was applied and followed up."""
        first = place.commit("v0", releases[0])
        second = place.commit("v1", releases[1])
        assert deployer.wait(second, self.soon_s).release == releases[1]
        late = deployer.wait(first, self.soon_s)
        assert (late.release, late.revision) == (releases[1], second)

    def test_a_release_that_cannot_be_loaded_changes_nothing_and_says_why(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        deployer.wait(place.commit("v0", releases[0]), self.soon_s)
        missing = "f" * 64
        bad = place.commit("v1", missing)
        with pytest.raises(PredatorError, match="was not applied"):
            deployer.wait(bad, self.bad_s)
        found = deployer.status()
        assert found.release == releases[0]
        assert not found.healthy
        assert missing in found.detail
        good = place.commit("v2", releases[1])
        assert deployer.wait(good, self.soon_s).healthy

    def test_a_revision_that_never_was_is_not_waited_for_without_end(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        deployer.wait(place.commit("v0", releases[0]), self.soon_s)
        with pytest.raises(PredatorError, match="was not applied"):
            deployer.wait("e" * 40, 0.2)

    def test_a_flip_goes_ahead_of_git_and_git_catches_up(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        old, new, later = releases
        held = Holdback("watch", old, 0.05)
        deployer.wait(place.commit("v0", old), self.soon_s)
        bad = place.commit("v1", new, held)
        assert deployer.wait(bad, self.soon_s).release == new
        deployer.flip(old)
        deployer.flip(old)
        assert deployer.status().release == old
        restored = place.desired.restore(bad, "Back", {})
        assert deployer.wait(restored, self.soon_s).release == old
        assert deployer.wait(place.commit("v2", later), self.soon_s).release == later

    def test_a_flip_needs_a_loaded_release(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        with pytest.raises(PredatorError, match="not loaded"):
            deployer.flip(releases[0])
        deployer.wait(place.commit("v0", releases[0]), self.soon_s)
        with pytest.raises(PredatorError, match="not loaded"):
            deployer.flip(releases[1])
        assert deployer.status().release == releases[0]

    def test_ten_flips_at_once_are_one(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        deployer.wait(place.commit("v0", releases[0]), self.soon_s)
        deployer.wait(place.commit("v1", releases[1]), self.soon_s)
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda _: deployer.flip(releases[0]), range(10)))
        assert deployer.status().release == releases[0]

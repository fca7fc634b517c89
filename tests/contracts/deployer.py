"""What every deployer must do; a back end's test names itself and inherits this."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from predator.domain.errors import PredatorError
from predator.ports.deployer import Deployer
from predator.search.desired import Holdback
from tests.adapters.platform.platforms import Place

SOON_S = 10.0


class DeployerContract:
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
            found = deployer.wait(revision, SOON_S)
            assert (found.release, found.revision) == (digest, revision)
            assert found.healthy and found.detail == ""
            assert deployer.status() == found

    def test_a_commit_that_changes_no_release_is_applied_too(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        place.commit("v0", releases[0])
        revision = place.desired.end_watch("Keep", {})
        found = deployer.wait(revision, SOON_S)
        assert (found.release, found.revision) == (releases[0], revision)

    def test_a_later_revision_covers_an_earlier_one(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        """Whoever comes late must not wait for ever for what was applied and followed up."""
        first = place.commit("v0", releases[0])
        second = place.commit("v1", releases[1])
        assert deployer.wait(second, SOON_S).release == releases[1]
        late = deployer.wait(first, SOON_S)
        assert (late.release, late.revision) == (releases[1], second)

    def test_a_release_that_cannot_be_loaded_changes_nothing_and_says_why(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        deployer.wait(place.commit("v0", releases[0]), SOON_S)
        missing = "f" * 64
        bad = place.commit("v1", missing)
        with pytest.raises(PredatorError, match="was not applied within"):
            deployer.wait(bad, 0.5)
        found = deployer.status()
        assert found.release == releases[0]
        assert not found.healthy
        assert missing in found.detail
        good = place.commit("v2", releases[1])
        assert deployer.wait(good, SOON_S).healthy

    def test_a_revision_that_never_was_is_not_waited_for_without_end(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        deployer.wait(place.commit("v0", releases[0]), SOON_S)
        with pytest.raises(PredatorError, match="was not applied within"):
            deployer.wait("e" * 40, 0.2)

    def test_a_flip_goes_ahead_of_git_and_git_catches_up(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        old, new, later = releases
        held = Holdback("watch", old, 0.05)
        deployer.wait(place.commit("v0", old), SOON_S)
        bad = place.commit("v1", new, held)
        assert deployer.wait(bad, SOON_S).release == new
        deployer.flip(old)
        deployer.flip(old)
        assert deployer.status().release == old
        restored = place.desired.restore(bad, "Back", {})
        assert deployer.wait(restored, SOON_S).release == old
        assert deployer.wait(place.commit("v2", later), SOON_S).release == later

    def test_a_flip_needs_a_loaded_release(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        with pytest.raises(PredatorError, match="not loaded"):
            deployer.flip(releases[0])
        deployer.wait(place.commit("v0", releases[0]), SOON_S)
        with pytest.raises(PredatorError, match="not loaded"):
            deployer.flip(releases[1])
        assert deployer.status().release == releases[0]

    def test_ten_flips_at_once_are_one(
        self, place: Place, deployer: Deployer, releases: list[str]
    ) -> None:
        deployer.wait(place.commit("v0", releases[0]), SOON_S)
        deployer.wait(place.commit("v1", releases[1]), SOON_S)
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda _: deployer.flip(releases[0]), range(10)))
        assert deployer.status().release == releases[0]

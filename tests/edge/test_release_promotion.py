"""Contours of one home share a repository, and people bring releases from one to the next."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.adapters.releases.gto_git import GtoGitReleases
from predator.adapters.runtime.dbos_client import DbosFlows
from predator.adapters.runtime.virtual_flows import VirtualFlows
from predator.bootstrap.governed import stores_of
from predator.bootstrap.home import Home, Run
from predator.bootstrap.optimizer import Optimizer
from predator.bootstrap.platform import desired_of, found_platform
from predator.config import Settings, load_settings
from predator.domain.errors import InputError
from predator.loop.release.contour_follow import Follower
from predator.ports.progress import Silent
from predator.ports.releases import KeptRelease
from predator.search.desired import LiveRelease
from predator.search.encoder.export import prepare_encoder
from predator.search.encoder.files import EncoderFiles
from predator.search.processor import DEFAULT_ENTITIES, Rules
from predator.search.serving.store import Store
from tests.edge.conftest import Commands
from tests.search.encoder.tiny import tiny_folder

EDGE, COMPUTE = "edge-oracle", "compute-nvidia"
RULES = Rules({}, DEFAULT_ENTITIES)
ASKED = ("release", "promote", "v2.0", "--from", EDGE, "--to", COMPUTE, "--reason", "it is good")


def settings_of(root: Path) -> Settings:
    return load_settings({"home": root / ".predator", "artifacts": root / "artifacts"})


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def encoder(encoder_folder: Path) -> EncoderFiles:
    return prepare_encoder(encoder_folder, encoder_folder.parent / "encoder", max_tokens=32)


@pytest.fixture(scope="module")
def two_once(tmp_path_factory: pytest.TempPathFactory, encoder: EncoderFiles) -> Path:
    """A home with a platform on each of two contours, not to be changed."""
    place = tmp_path_factory.mktemp("two")
    home = Home(settings_of(place))
    home.make()
    for contour in (EDGE, COMPUTE):
        run = home.new_run(contour, shared=True)
        found_platform(run, encoder, RULES, "tiny", contour)
    stores_of(home.settings).database.close()
    return place


@pytest.fixture
def runs(two_once: Path, commands: Commands) -> dict[str, Run]:
    """The platforms by contour, in the folder of ``commands``; that of production is current."""
    home = Home(settings_of(commands.folder))
    shutil.copytree(two_once / ".predator", home.root, symlinks=True)
    found = {}
    for folder in (home.root / "runs").iterdir():
        run = Run(folder)
        found[run.about["contour"]] = run
        DbosFlows(home.flows_url(run)).close()
    home.point_current(found[COMPUTE])
    return found


def passes(run: Run, version: str, *, stable: bool = True) -> str:
    """An experiment of the edge makes another release live there; the commit."""
    desired, releases = desired_of(run, EDGE), GtoGitReleases(run.gitops)
    digest, cycle = "d" * 64, "si_2026_11_26_001"
    revision = desired.set_release(
        LiveRelease(version, digest, cycle),
        None,
        f"Promote {version}",
        {"Cycle": cycle, "Step": "promote", "Contour": EDGE, "Release": digest,
         "Evaluation": "e" * 64, "Experiment": "f" * 64, "Policy": "rule"},
    )  # fmt: skip
    releases.keep(KeptRelease(version, digest, revision, cycle, 1.0))
    if stable:
        releases.mark(version, "stable", 2.0)
    return revision


class TestOneRepository:
    def test_each_contour_has_its_folder_and_the_first_version_is_one(
        self, runs: dict[str, Run]
    ) -> None:
        assert runs[EDGE].gitops == runs[COMPUTE].gitops
        live = {name: desired_of(run, name).read().release for name, run in runs.items()}
        assert live[EDGE] == live[COMPUTE]
        kept = GtoGitReleases(runs[EDGE].gitops).list()
        assert [one.version for one in kept] == ["v1.0"]
        passes(runs[EDGE], "v2.0")
        assert desired_of(runs[EDGE], EDGE).read().release.version == "v2.0"
        assert desired_of(runs[COMPUTE], COMPUTE).read().release.version == "v1.0"

    def test_a_new_platform_keeps_what_is_live_on_its_contour(
        self, runs: dict[str, Run], commands: Commands, encoder: EncoderFiles
    ) -> None:
        passes(runs[EDGE], "v2.0")
        head = BareGit(runs[EDGE].gitops).head()
        again = Home(settings_of(commands.folder)).new_run("again", shared=True)
        found_platform(again, encoder, RULES, "tiny", EDGE)
        assert BareGit(again.gitops).head() == head
        assert desired_of(again, EDGE).read().release.version == "v2.0"

    def test_a_contour_founded_on_something_else_is_refused(
        self, runs: dict[str, Run], commands: Commands, encoder: EncoderFiles
    ) -> None:
        head = BareGit(runs[EDGE].gitops).head()
        other = Home(settings_of(commands.folder)).new_run("other", shared=True)
        with pytest.raises(InputError, match="is another release"):
            found_platform(
                other, encoder, Rules({"x": {"y": 1.0}}, DEFAULT_ENTITIES), "tiny", "local"
            )
        assert BareGit(other.gitops).head() == head

    def test_without_sharing_each_platform_has_its_own(self, tmp_path: Path) -> None:
        home = Home(settings_of(tmp_path))
        one, two = home.new_run("one"), home.new_run("two")
        assert one.gitops != two.gitops
        assert not (home.root / "shared").exists()


class TestTheWorker:
    @pytest.mark.nightly
    def test_it_brings_no_release_that_it_could_not_watch(
        self, runs: dict[str, Run], commands: Commands, encoder_folder: Path
    ) -> None:
        """Everything is real but the runtime; nobody has searched here yet."""
        settings = load_settings(
            {"home": commands.folder / ".predator", "artifacts": commands.folder / "artifacts",
             "contour": COMPUTE, "model": encoder_folder, "max_tokens": 32}
        )  # fmt: skip
        passes(runs[EDGE], "v2.0")
        Store(runs[COMPUTE].database).close()
        stores = stores_of(settings)
        worker = Optimizer(settings, runs[COMPUTE], "http://127.0.0.1:1", stores, Silent())
        flows = VirtualFlows(worker.flows())
        ring = desired_of(runs[COMPUTE], COMPUTE)
        found = Follower(COMPUTE, ring.gitops, GtoGitReleases(runs[COMPUTE].gitops), flows).look()
        assert found is not None
        flows.run_all()
        ended = flows.status(found)
        assert ended is not None
        assert "no clicks before the change" in ended.error
        assert ring.read().release.version == "v1.0"
        (entry,) = stores.cycles.list(COMPUTE)
        assert (entry.trigger["type"], entry.outcome) == ("contour_promotion", "error")
        stores.database.close()


class TestTheCommand:
    def test_it_says_whether_a_release_may_come(
        self, runs: dict[str, Run], commands: Commands
    ) -> None:
        code, shown, _ = commands(*ASKED, "--dry-run")
        assert code == 1
        assert "v2.0 cannot come to compute-nvidia: there is no release v2.0" in shown
        passes(runs[EDGE], "v2.0")
        assert "v2.0 may come" in commands.does(*ASKED, "--dry-run")
        assert commands.json(*ASKED, "--dry-run")["allowed"] is True

    def test_it_is_queued_for_a_worker_of_that_contour(
        self, runs: dict[str, Run], commands: Commands
    ) -> None:
        passes(runs[EDGE], "v2.0")
        found = commands.json(*ASKED, "--wait", "0")
        assert (found["state"], found["from"], found["to"]) == ("queued", EDGE, COMPUTE)
        assert "v2.0 from edge-oracle to compute-nvidia: queued" in commands.does(
            *ASKED, "--wait", "0"
        )
        records = commands.json("audit", "operators")["records"]
        asked = [r for r in records if r["verb"] == "promote_release" and r["outcome"] == "asked"]
        assert [one["actor"] for one in asked] == ["ann", "ann"]
        assert asked[0]["arguments"]["version"] == "v2.0"

    def test_without_evidence_nothing_is_queued(
        self, runs: dict[str, Run], commands: Commands
    ) -> None:
        passes(runs[EDGE], "v2.0", stable=False)
        line = commands.refuses(*ASKED, code=1)
        assert "the watch on edge-oracle has not kept v2.0 yet" in line
        records = commands.json("audit", "operators")["records"]
        assert [r["outcome"] for r in records] == ["asked", "refused"]

    def test_no_contour_is_skipped_and_none_made_up(
        self, runs: dict[str, Run], commands: Commands
    ) -> None:
        steps = ((COMPUTE, EDGE), ("dev-mac", COMPUTE), (EDGE, EDGE), ("local", EDGE))
        for source, target in (*steps, ("mars", EDGE)):
            asked = ("release", "promote", "v1.0", "--from", source, "--to", target)
            line = commands.refuses(*asked, "--reason", "x")
            said = "no contour 'mars'" if source == "mars" else "one step at a time"
            assert said in line

"""What the optimizer commits is what the chart is rendered with, beside what people wrote."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from predator.adapters.gitops.bare_git import BareGit
from predator.loop.release.desired_state import DesiredState
from predator.search.desired import (
    Holdback,
    LiveRelease,
    RunningExperiment,
    experiments_path,
    values_path,
)
from tests.deploy.rendered import Rendered
from tools import chart

OLD, NEW = "a" * 64, "b" * 64
FIRST = LiveRelease("v1.0", OLD, "bootstrap")
SECOND = LiveRelease("v2.0", NEW, "si_2026_11_26_001")
EXPERIMENT = RunningExperiment("exp-si_2026_11_26_001", "ranking", NEW, 0.2)
WRITTEN = """\
# Ours: ask the platform team before you change this.
image:
  # pinned by the release pipeline
  repository: registry.example/predator
  digest: sha256:{digest}
search:
  enabled: true
  replicas: 2  # one a zone
  # The optimizer writes what follows.
  release:
    version: v1.0
    digest: {old}
    cycle: bootstrap
admin:
  enabled: false
""".format(digest="c" * 64, old=OLD)
COMMENTS = [line.partition("#")[2].strip() for line in WRITTEN.splitlines() if "#" in line]


class Repository:
    """A GitOps repository with one contour, and what the chart makes of its head."""

    def __init__(self, folder: Path, contour: str) -> None:
        self.contour, self.folder = contour, folder
        self.git = BareGit(folder / "gitops.git")
        self.desired = DesiredState(self.git, contour)

    def release(self, release: LiveRelease, holdback: Holdback | None = None) -> None:
        given = {"Cycle": release.cycle, "Step": "promote"}
        self.desired.set_release(release, holdback, f"Promote {release.version}", given)

    def experiment(self, experiment: RunningExperiment | None) -> None:
        step = "start" if experiment else "end"
        given = {"Cycle": SECOND.cycle, "Step": f"{step}-experiment"}
        self.desired.set_experiment(experiment, f"{step} the experiment", given)

    def values(self) -> str:
        return self.git.read(values_path(self.contour)) or ""

    def rendered(self) -> Rendered:
        """As ``helm -f`` renders it with both files of the head."""
        more: dict[str, Any] = {}
        for number, path in enumerate((values_path(self.contour), experiments_path(self.contour))):
            text = self.git.read(path)
            if text is not None:
                file = self.folder / f"{number}.yaml"
                file.write_text(text)
                more = chart.merged(more, chart.read_values(file))
        return Rendered(self.contour, chart.merged(more, {"search": {"enabled": True}}))


@pytest.fixture(params=chart.CONTOURS)
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Repository:
    return Repository(tmp_path, request.param)


def _pods(found: Rendered) -> Any:
    return found.named("Deployment", "search")["spec"]["template"]


def _annotations(found: Rendered) -> Any:
    return found.named("Deployment", "search")["metadata"]["annotations"]


def test_a_repository_that_the_optimizer_founded_renders(repository: Repository) -> None:
    repository.release(FIRST)
    found = _pods(repository.rendered())["metadata"]["annotations"]
    assert found["predator/release-version"] == "v1.0"
    assert found["predator/release-digest"] == OLD
    assert found["predator/release-cycle"] == "bootstrap"


def test_a_release_rolls_the_pods_and_the_way_back_makes_them_as_they_were(
    repository: Repository,
) -> None:
    repository.release(FIRST)
    first = _pods(repository.rendered())
    repository.release(SECOND, Holdback(f"watch-{SECOND.cycle}", OLD, 0.05))
    second = _pods(repository.rendered())
    assert second["metadata"]["annotations"].pop("predator/release-digest") == NEW
    assert second["spec"] == first["spec"]
    head = repository.git.head()
    assert head is not None
    repository.desired.restore(head, "Roll back", {"Cycle": SECOND.cycle, "Step": "rollback"})
    assert _pods(repository.rendered()) == first


def test_an_experiment_is_told_and_rolls_nothing(repository: Repository) -> None:
    repository.release(FIRST)
    before = repository.rendered()
    repository.experiment(EXPERIMENT)
    during = repository.rendered()
    assert _pods(during) == _pods(before)
    assert EXPERIMENT.id in _annotations(during)["predator/experiments"]
    assert EXPERIMENT.candidate in _annotations(during)["predator/experiments"]
    repository.experiment(None)
    assert repository.rendered().objects == before.objects


def test_an_experiment_of_an_older_repository_renders_too(repository: Repository) -> None:
    repository.release(FIRST)
    old = f"search:\n  experiment: {{id: e, layer: ranking, candidate: {NEW}, share: 0.2}}\n"
    head = repository.git.head()
    repository.git.commit({experiments_path(repository.contour): old}, "old", {}, parent=head)
    assert NEW in _annotations(repository.rendered())["predator/experiments"]


def test_what_people_wrote_stays_with_its_comments(repository: Repository) -> None:
    path = values_path(repository.contour)
    repository.git.commit({path: WRITTEN}, "Our values", {}, parent=None)
    assert repository.desired.read().release == FIRST
    repository.experiment(EXPERIMENT)
    repository.release(SECOND)
    text = repository.values()
    assert [c for c in COMMENTS if c not in text] == []
    assert text.replace(NEW, OLD).replace(SECOND.cycle, "bootstrap").replace("v2.0", "v1.0") == (
        WRITTEN
    )
    found = repository.rendered()
    search = found.named("Deployment", "search")["spec"]
    assert search["replicas"] == 2
    assert search["template"]["metadata"]["annotations"]["predator/release-digest"] == NEW
    (container,) = search["template"]["spec"]["containers"]
    assert container["image"] == f"registry.example/predator@sha256:{'c' * 64}"


def test_one_repository_serves_every_contour(tmp_path: Path) -> None:
    all_of_them = [Repository(tmp_path, contour) for contour in chart.CONTOURS]
    for number, one in enumerate(all_of_them):
        one.release(LiveRelease(f"v{number}.0", str(number) * 64, f"cycle-{number}"))
    for number, one in enumerate(all_of_them):
        found = _pods(one.rendered())["metadata"]["annotations"]
        assert found["predator/release-digest"] == str(number) * 64


def test_the_chart_lies_beside_the_environments_for_whoever_clones_it(tmp_path: Path) -> None:
    repository = Repository(tmp_path, "edge-oracle")
    repository.release(SECOND)
    assert chart.main(["publish", "--repository", str(tmp_path / "gitops.git")]) == 0
    head = repository.git.head()
    assert chart.publish(tmp_path / "gitops.git") == head, "once"
    git = shutil.which("git")
    assert git is not None
    clone = tmp_path / "clone"
    subprocess.run(
        [git, "clone", "--quiet", str(tmp_path / "gitops.git"), str(clone)],
        check=True, capture_output=True,
    )  # fmt: skip
    files = {path.relative_to(chart.CHART) for path in chart.CHART.rglob("*") if path.is_file()}
    cloned = clone / "chart/predator"
    assert {path.relative_to(cloned) for path in cloned.rglob("*") if path.is_file()} == files
    for path in files:
        assert (cloned / path).read_bytes() == (chart.CHART / path).read_bytes()
    assert NEW in (clone / values_path("edge-oracle")).read_text()

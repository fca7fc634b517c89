"""A contour under the fake Argo CD: repository with the chart, cluster, server, deployer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from predator.adapters.argocd.api import ArgoApi
from predator.adapters.argocd.argo_deployer import ArgoDeployer
from predator.adapters.argocd.replicas import Replicas
from predator.ports.gitops import GitOps
from predator.search.serving.app import create_app
from tests.adapters.argocd.cluster import Cluster, Followed
from tests.adapters.argocd.fake_argocd import FakeArgo
from tests.adapters.argocd.fake_server import LOOP_TOKEN, ArgoServer
from tests.adapters.argocd.manifests import CHART, Repository, chart_files
from tests.adapters.argocd.swagger import Swagger
from tests.adapters.platform.platforms import CONTOUR, TOKEN, Place, served

ROOT = Path(__file__).parents[3]
APP, PROJECT = "predator-local", "predator"
AUTOMATED = {"automated": {"prune": False, "selfHeal": True}}


@dataclass
class Contour:
    """Everything of one contour. ``api`` and ``deployer`` speak to ``server`` over real HTTP."""

    place: Place
    argo: FakeArgo
    server: ArgoServer
    url: str
    pods_url: str
    stack: ExitStack
    releases: int = 0

    def renew(self) -> None:
        """Somebody's release applied, nothing automatic, and no fault any more."""
        argo = self.argo
        argo.spec.pop("syncPolicy", None)
        argo.annotations.clear()
        argo.fail_syncs = argo.down = argo.busy = argo.terminated = 0
        argo.stuck = argo.window_closed = False
        argo.later.clear()
        argo.cluster.autoscaler_ready = True
        argo.cluster.thaw()
        argo.advance(10)
        for _ in range(2):
            if not self._well():
                self.release()
                argo.sync({}, "renew")
                argo.advance(20)
        assert self._well()
        self.server.calls.clear()

    @property
    def automatic(self) -> bool:
        return self.argo.automated is not None

    def _well(self) -> bool:
        self.argo.reconcile()
        status = self.argo.application()["status"]
        return (
            (status["sync"]["status"], status["health"]["status"]) == ("Synced", "Healthy")
            and status["operationState"]["phase"] == "Succeeded"
            and len(self.argo.history) > 1
            and not self.argo.cluster.pinned
        )

    def release(self, digest: str | None = None) -> str:
        """Commit a release nobody has seen yet (or ``digest``); the revision."""
        self.releases += 1
        made = digest or self.place.release(depth=10 + self.releases).digest
        return self.place.commit(f"v{self.releases}", made)

    def automate(self) -> None:
        self.argo.spec["syncPolicy"] = AUTOMATED

    def api(self, token: str = LOOP_TOKEN, **other: Any) -> ArgoApi:
        given = {"app": APP, "project": PROJECT, **other}
        made = ArgoApi(given.pop("url", self.url), token, **given)
        self.stack.callback(made.close)
        return made

    @cached_property
    def pods(self) -> Replicas:
        made = Replicas(self.pods_url, TOKEN, self.place.gitops)
        self.stack.callback(made.close)
        return made

    def deployer(
        self, *, control: bool = True, api: ArgoApi | None = None, patience_s: float = 0.0
    ) -> ArgoDeployer:
        """Its clock is the fake's, which its sleep moves."""
        return ArgoDeployer(
            api or self.api(),
            self.place.desired,
            self.pods if control else None,
            patience_s=patience_s,
            monotonic=lambda: self.argo.now,
            sleep=self.argo.advance,
        )


@contextmanager
def contour(
    place: Place, policy: Mapping[str, Any] | None = None, swagger: Swagger | None = None
) -> Iterator[Contour]:
    """A contour whose repository holds the chart and nothing else yet; its pods really search."""
    commit_chart(place.gitops)
    pods, git = Place(place.folder), Followed(place.gitops)
    pods.gitops = git
    platform = pods.platform()
    cluster = Cluster(platform._agent, git)
    app = create_app(platform, TOKEN)
    with served(app) as pods_url, argocd(place.folder, cluster, policy, swagger) as server, \
            served(server.app) as url, ExitStack() as stack:  # fmt: skip
        yield Contour(place, server.argo, server, url, pods_url, stack)


@contextmanager
def argocd(
    folder: Path, cluster: Cluster, policy: Mapping[str, Any] | None, swagger: Swagger | None
) -> Iterator[ArgoServer]:
    """Argo CD over ``cluster`` and ``gitops.git`` in ``folder``; all that is said is checked."""
    spec: dict[str, Any] = {
        "project": PROJECT,
        "source": source_of(str(folder / "gitops.git"), CONTOUR),
        "destination": {"server": "https://kubernetes.default.svc", "namespace": "search"},
        **({"syncPolicy": policy} if policy else {}),
    }
    repository = Repository(spec["source"]["repoURL"], folder / "argocd-clone")
    server = ArgoServer(FakeArgo(APP, PROJECT, repository, cluster, spec), swagger)
    yield server
    assert server.problems == []


def commit_chart(gitops: GitOps) -> None:
    """Put the chart where the applications look for it."""
    gitops.commit(
        dict(chart_files(ROOT / "deploy/chart/predator")),
        "Add the chart",
        {"Cycle": "chart", "Step": "chart"},
        parent=gitops.head(),
    )


def source_of(url: str, name: str) -> dict[str, Any]:
    """Where a contour's manifests come from: the chart, and what the loop commits above it."""
    files = [f"../../environments/{name}/{file}.yaml" for file in ("values", "experiments")]
    return {
        "repoURL": url,
        "targetRevision": "main",
        "path": CHART,
        "helm": {"valueFiles": ["values.yaml", *files]},
    }

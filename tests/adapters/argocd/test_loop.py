"""The loop itself under Argo CD: whole cycles, with real git, real Helm and the fake between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fastapi import Body, FastAPI
from fastapi.responses import JSONResponse

from predator.adapters.argocd.api import ArgoApi
from predator.adapters.argocd.argo_deployer import ArgoDeployer
from predator.adapters.argocd.replicas import Replicas
from predator.adapters.gitops.bare_git import BareGit
from predator.domain.errors import PredatorError
from predator.search.serving.agent import Agent
from tests.adapters.argocd.cluster import Cluster, Followed
from tests.adapters.argocd.fake_argocd import FakeArgo
from tests.adapters.argocd.fake_server import LOOP_TOKEN
from tests.adapters.argocd.places import APP, AUTOMATED, PROJECT, argocd, commit_chart
from tests.adapters.argocd.swagger import Swagger
from tests.adapters.platform.platforms import served
from tests.invariants.light_ring import LightWorld


@dataclass
class World:
    """A light ring whose contour is deployed by Argo CD, and what was flipped in its pods."""

    ring: LightWorld
    argo: FakeArgo
    flips: list[str] = field(default_factory=list)

    @property
    def live(self) -> tuple[str, str]:
        """The release that stands on the pods, and the one that they serve."""
        return self.argo.cluster.digest or "", self.ring.serving

    def well(self) -> bool:
        """Whether the cluster is where git is, once Argo CD has had the time to look."""
        self.argo.reconcile()
        self.argo.advance(30)
        status = self.argo.application()["status"]
        at_head = status["sync"]["revision"] == self.ring.gitops.head()
        words = (status["sync"]["status"], status["health"]["status"])
        return at_head and words == ("Synced", "Healthy")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(
        "tests.invariants.light_ring.MemoryGitOps",
        lambda now: BareGit(tmp_path / "gitops.git", now=now),
    )
    ring = LightWorld(tmp_path / "ring")
    commit_chart(ring.gitops)
    cluster = Cluster(ring.agent, Followed(ring.gitops))
    flips: list[str] = []
    with ExitStack() as stack:
        server = stack.enter_context(argocd(tmp_path, cluster, AUTOMATED, Swagger.beside()))
        url = stack.enter_context(served(server.app))
        pods = stack.enter_context(served(pods_of(ring.agent, flips)))
        argo = server.argo

        def sleep(seconds: float) -> None:
            argo.advance(seconds)
            ring.clock.sleep(seconds)

        deployer = ArgoDeployer(
            ArgoApi(url, LOOP_TOKEN, app=APP, project=PROJECT),
            ring.desired,
            Replicas(pods, "token", ring.gitops),
            patience_s=120,
            monotonic=lambda: argo.now,
            sleep=sleep,
        )
        stack.callback(deployer.close)
        object.__setattr__(ring.ring, "deployer", deployer)
        argo.reconcile()
        argo.advance(20)
        yield World(ring, argo, flips)


def pods_of(agent: Agent, flips: list[str]) -> FastAPI:
    """The two routes of the search service that a deployer asks, over the ring's own agent."""
    app = FastAPI(openapi_url=None)

    @app.get("/readyz")
    def readyz() -> dict[str, object]:
        agent.step()
        routing = agent.routing
        return {
            "release": routing.live_digest if routing else "",
            "revision": routing.revision if routing else "",
            "ready": routing is not None,
            "healthy": agent.healthy,
            "detail": agent.detail,
            "preparing": [],
        }

    @app.post("/control/flip")
    def flip(release: str = Body(embed=True)) -> JSONResponse:
        try:
            agent.flip(release)
        except PredatorError as error:
            return JSONResponse({"detail": str(error)}, 409)
        flips.append(release)
        return JSONResponse({})

    return app


def test_a_cycle_promotes_and_the_next_one_goes_back_by_one_commit(world: World) -> None:
    ring = world.ring
    first = ring.founding.digest
    assert world.live == (first, first)

    good = ring.ask()
    ring.run()
    assert ring.outcome(good) == "success"
    second = ring.desired.read().release.digest
    assert second != first
    assert world.live == (second, second)
    assert world.well()
    assert world.flips == []

    bad = ring.ask("bad live")
    ring.run()
    assert ring.outcome(bad) == "rolled_back"
    assert world.flips == [second]
    assert ring.steps.count("rollback") == 1
    assert world.live == (second, second)
    assert world.well()


@pytest.mark.nightly
def test_ten_people_who_go_back_at_once_make_one_commit(world: World) -> None:
    ring = world.ring
    ring.ask()
    ring.run()
    asked = [ring.ask_rollback("v1.0") for _ in range(10)]
    ring.run()
    found = [ring.flows.status(flow) for flow in asked]
    assert {one.state for one in found if one} == {"done"}
    assert ring.steps.count("rollback") == 1
    assert world.live == (ring.founding.digest, ring.founding.digest)
    assert world.well()


def test_a_release_whose_sync_keeps_failing_is_taken_back_and_the_cycle_says_why(
    world: World,
) -> None:
    ring = world.ring
    first = ring.founding.digest

    def fail(event: str) -> None:
        if event.startswith("after:") and event.endswith("/deploy"):
            world.argo.fail_syncs = 2

    ring.at = fail
    cycle = ring.ask()
    ring.run()
    assert ring.outcome(cycle) == "error"
    assert ring.desired.read().release.digest == first
    assert world.live == (first, first)
    assert world.well()
    summary = (ring.folder_of(cycle) / "audit.jsonl").read_text()
    assert "exceeded quota" in summary

"""Releases in a GitOps history in memory, and an agent that follows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from predator.adapters.gitops.memory import MemoryGitOps
from predator.domain.errors import PredatorError
from predator.domain.release import Release
from predator.search.desired import (
    Holdback,
    LiveRelease,
    RunningExperiment,
    experiments_path,
    render_experiments,
    render_values,
    values_path,
)
from predator.search.engine import Engine
from predator.search.serving.agent import Agent
from tests.search.fakes import documents, engine, indexed, release

CONTOUR = "local"
INDEX = indexed(documents(40))


def made(number: int) -> Release:
    """The ``number``-th of many releases that differ."""
    return release(None, rrf_k=number)


def digest(number: int) -> str:
    return made(number).digest


BY_DIGEST = {digest(number): made(number) for number in range(1, 60)}


@dataclass
class World:
    """An agent, the history it follows, and what it was asked to load."""

    gitops: MemoryGitOps = field(default_factory=MemoryGitOps)
    loaded: list[str] = field(default_factory=list)
    warmed: list[str] = field(default_factory=list)
    on_load: Callable[[str], None] = lambda _: None

    def __post_init__(self) -> None:
        self.agent = Agent(self.gitops, CONTOUR, self._load, self._warm_up)

    def push(
        self,
        live: int | None = None,
        *,
        experiment: tuple[int, float] | None = None,
        holdback: tuple[int, float] | None = None,
        values: str | None = None,
        experiments: str | None = None,
    ) -> str:
        """Commit a desired state; releases are named by number."""
        changes = {}
        if live is not None:
            changes[values_path(CONTOUR)] = render_values(
                LiveRelease(f"v1.{live}", digest(live), "bootstrap"), None
            )
        if values is not None:
            changes[values_path(CONTOUR)] = values
        running = (
            RunningExperiment("exp", "ranking", digest(experiment[0]), experiment[1])
            if (experiment)
            else None
        )
        held = Holdback("watch", digest(holdback[0]), holdback[1]) if holdback else None
        changes[experiments_path(CONTOUR)] = experiments or render_experiments(
            [running] if running else [], held
        )
        return self.gitops.commit(changes, "change", {}, parent=self.gitops.head())

    def deploy(self, live: int | None = None, **state: object) -> str:
        """Push and apply."""
        revision = self.push(live, **state)  # type: ignore[arg-type]
        assert self.agent.step()
        return revision

    @property
    def live(self) -> str:
        assert self.agent.routing is not None
        return self.agent.routing.live.release.digest

    def _load(self, wanted: str) -> Engine:
        self.on_load(wanted)
        if wanted not in BY_DIGEST:
            raise PredatorError(f"release {wanted[:12]} is not in the object store")
        self.loaded.append(wanted)
        return engine(INDEX, rrf_k=BY_DIGEST[wanted].retrieval.rrf_k)

    def _warm_up(self, one: Engine) -> None:
        self.warmed.append(one.release.digest)

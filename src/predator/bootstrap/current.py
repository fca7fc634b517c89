"""The parts of the current run that people's commands touch, each found when it is needed.

A stop needs none of them, so nothing here is opened before its first use. What is long-lived
(the admin API) follows ``current.json``: after the next ``predator run`` it talks to that one.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from predator.bootstrap.home import Home, Run
from predator.config import Settings
from predator.domain.errors import InputError

if TYPE_CHECKING:
    from predator.adapters.gitops.bare_git import BareGit
    from predator.adapters.releases.gto_git import GtoGitReleases
    from predator.adapters.runtime.dbos_client import DbosFlows
    from predator.ports.runtime import FlowStatus, Json


class _Closed(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closed)


def no_platform(home: Path) -> InputError:
    """There is nothing to act on yet."""
    return InputError(
        f"there is no platform in {home} yet",
        cure="run `predator run` first, or name its folder with --set home=FOLDER",
    )


class PerRun(Generic[T]):
    """Something opened once for each run folder; safe between threads."""

    def __init__(self, home: Home, make: Callable[[Run], T]) -> None:
        self._home, self._make = home, make
        self._made: dict[Path, T] = {}
        self._lock = Lock()

    def get(self) -> T:
        """That of the current run; ``InputError`` where there is none."""
        run = self._home.current_run()
        if run is None:
            raise no_platform(self._home.root)
        return self.of(run)

    def of(self, run: Run) -> T:
        """That of ``run``."""
        with self._lock:
            if run.folder not in self._made:
                self._made[run.folder] = self._make(run)
            return self._made[run.folder]

    def close(self) -> None:
        """Close what was opened."""
        with self._lock:
            for made in self._made.values():
                made.close()
            self._made.clear()


class Through:
    """Stands for a part of the current run: every call goes to that of this moment."""

    def __init__(self, part: Callable[[], object]) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part(), name)


class RunFlows:
    """The flows of the current run, or on PostgreSQL those of all runs.

    Looking makes no database where none is: nothing was asked for yet.
    """

    def __init__(self, settings: Settings) -> None:
        self._home = Home(settings)
        self._own = settings.database_url is None
        self._flows = PerRun(self._home, self._opened)

    def enqueue(self, flow: str, flow_id: str, arguments: Json, *, queue: str = "cycles") -> None:
        self._client().enqueue(flow, flow_id, arguments, queue=queue)

    def send(self, flow_id: str, topic: str, message: Json, *, key: str) -> None:
        flows = self._client()
        try:
            flows.send(flow_id, topic, message, key=key)
        except InputError:
            # The cycles of `predator run` are no flows of their own: its story runs them.
            story = self._story()
            if story is None or flows.state(story) is None:
                raise
            flows.send(story, topic, message, key=key)

    def status(self, flow_id: str) -> FlowStatus | None:
        return self._client().status(flow_id) if self._there() else None

    def cancel(self, flow_id: str) -> None:
        self._client().cancel(flow_id)

    def list(self, *, unfinished: bool = False, limit: int = 100) -> builtins.list[FlowStatus]:
        return self._client().list(unfinished=unfinished, limit=limit) if self._there() else []

    def close(self) -> None:
        """Give the connections back."""
        self._flows.close()

    def _client(self) -> DbosFlows:
        return self._flows.get() if self._own else self._flows.of(Run(self._home.root))

    def _opened(self, run: Run) -> DbosFlows:
        from predator.adapters.runtime.dbos_client import DbosFlows

        return DbosFlows(self._home.flows_url(run))

    def _there(self) -> bool:
        if not self._own:
            return True
        run = self._home.current_run()
        return run is not None and (run.folder / "flows.db").is_file()

    def _story(self) -> str | None:
        run = self._home.current_run()
        return f"story-{run.folder.name}" if run is not None else None


def gitops_of(run: Run) -> BareGit:
    """The GitOps repository of a run."""
    from predator.adapters.gitops.bare_git import BareGit

    return BareGit(run.gitops)


def releases_of(run: Run) -> GtoGitReleases:
    """The versions in the GitOps repository of a run."""
    from predator.adapters.releases.gto_git import GtoGitReleases

    return GtoGitReleases(run.gitops)

"""The fake Argo CD's controller: compares with git, syncs, keeps a history, by its own clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import RLock
from typing import Any

from tests.adapters.argocd.cluster import Cluster
from tests.adapters.argocd.manifests import ComparisonError, Repository

SYNC_S, RECONCILE_S, HISTORY = 4.0, 180.0, 10
START = 1_764_000_000.0


@dataclass
class Controller:
    """``advance`` moves the time; what is due meanwhile happens in order."""

    name: str
    project: str
    repository: Repository
    cluster: Cluster
    spec: dict[str, Any]
    now: float = START
    annotations: dict[str, str] = field(default_factory=dict)
    fail_syncs: int = 0
    """How many syncs from now on fail."""
    stuck: bool = False
    """A sync that runs does not come to its end (a hook that waits)."""
    busy: int = 0
    """How many syncs from now on find another operation under way that nobody was shown."""
    down: int = 0
    """How many requests from now on are answered 503."""
    window_closed: bool = False
    operation: dict[str, Any] | None = None
    state: dict[str, Any] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    terminated: int = 0
    later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    """What happens at a time."""
    version: int = 0

    def __post_init__(self) -> None:
        self._lock = RLock()
        self._live: dict[str, Any] = {}
        self._desired: Mapping[str, Any] = {}
        self._sync: dict[str, Any] = {"status": "Unknown"}
        self._problem = ""
        self._reconciled = self._begun = self.now
        self._next_id = 0

    def advance(self, seconds: float) -> None:
        with self._lock:
            until = self.now + seconds
            while self.now < until:
                self.now = min(until, self.now + 1.0)
                self._tick()

    def in_s(self, seconds: float, what: Callable[[], None]) -> None:
        self.later.append((self.now + seconds, what))

    def _tick(self) -> None:
        due = [one for one in self.later if one[0] <= self.now]
        self.later = [one for one in self.later if one[0] > self.now]
        for _, what in due:
            what()
        if self.operation is not None:
            self._begin()
        elif self._running() and not self.stuck and self.now - self._begun >= SYNC_S:
            self._finish()
        elif self.now - self._reconciled >= RECONCILE_S:
            self.reconcile()

    def _running(self) -> bool:
        return self.state is not None and self.state["phase"] in {"Running", "Terminating"}

    def reconcile(self) -> None:
        """Compare the cluster with the branch, and sync where that is automatic."""
        self._reconciled, self.version = self.now, self.version + 1
        source = self.spec["source"]
        try:
            revision = self.repository.resolve(source["targetRevision"])
            self._desired = self.repository.manifests(source, revision, self.name)
        except ComparisonError as error:
            self._problem, self._sync = str(error), {"status": "Unknown"}
            return
        self._problem = ""
        same = self._desired == self._live
        self._sync = {"status": "Synced" if same else "OutOfSync", "revision": revision}
        automatic = self.automated is not None and not same and not self.window_closed
        if automatic and not self._running() and self.operation is None:
            last = self.state or {}
            tried = last.get("syncResult", {}).get("revision") == revision
            if not (tried and last["phase"] in {"Failed", "Error"}):
                by = {"automated": True}
                self.operation = {"sync": {"revision": revision}, "initiatedBy": by}
                self._begin()

    @property
    def automated(self) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = (self.spec.get("syncPolicy") or {}).get("automated")
        return None if found is None or found.get("enabled") is False else found

    def _begin(self) -> None:
        assert self.operation is not None
        self._begun, self.version = self.now, self.version + 1
        self.state = {
            "operation": self.operation,
            "phase": "Running",
            "message": "waiting for completion of hooks" if self.stuck else "one or more tasks",
            "startedAt": self.timestamp(self.now),
            "syncResult": {"revision": self.operation["sync"]["revision"], "resources": []},
        }
        self.operation = None

    def _finish(self) -> None:
        assert self.state is not None
        revision = self.state["syncResult"]["revision"]
        source = self.state["operation"]["sync"].get("source", self.spec["source"])
        try:
            objects = self.repository.manifests(source, revision, self.name)
        except ComparisonError as error:
            self._end("Error", str(error))
            return
        if self.fail_syncs > 0:
            self.fail_syncs -= 1
            kind, _, name = next(iter(objects)).partition("/")
            self.state["syncResult"]["resources"] = [
                {"kind": kind, "name": name, "status": "SyncFailed", "message": "exceeded quota"}
            ]
            self._end("Failed", "one or more objects failed to apply, reason: exceeded quota")
            return
        kept = {k: v for k, v in self._live.items() if k not in objects}
        self._live = {**kept, **objects}
        self.cluster.apply(self._live, self.now)
        self._end("Succeeded", "successfully synced (all tasks run)")
        self.history.append(
            {
                "id": self._next_id,
                "revision": revision,
                "deployStartedAt": self.timestamp(self._begun),
                "deployedAt": self.timestamp(self.now),
                "source": source,
                "initiatedBy": self.state["operation"]["initiatedBy"],
            }
        )
        self._next_id += 1
        del self.history[:-HISTORY]
        self.reconcile()

    def _end(self, phase: str, message: str) -> None:
        assert self.state is not None
        self.state |= {
            "phase": phase, "message": message, "finishedAt": self.timestamp(self.now)
        }  # fmt: skip
        self.version += 1

    @staticmethod
    def timestamp(at: float) -> str:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

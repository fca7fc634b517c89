"""The cluster behind the fake Argo CD: objects that were applied, and pods that really search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from predator.ports.gitops import Commit, GitOps
from predator.search.serving.agent import Agent

Manifest = Mapping[str, Any]

DIGEST = "predator/release-digest"
ROLL_S, DEADLINE_S = 6.0, 20.0
"""Until new pods are ready, and until a deployment gives up on them."""


class Followed:
    """Git as the pods see it: its head, or what that was when they were cut off."""

    def __init__(self, gitops: GitOps) -> None:
        self._gitops = gitops
        self.frozen_at: str | None = None

    def head(self) -> str | None:
        return self.frozen_at or self._gitops.head()

    def read(self, path: str, revision: str | None = None) -> str | None:
        revision = revision or self.head()
        return None if revision is None else self._gitops.read(path, revision)

    def commit(
        self, changes: Mapping[str, str], subject: str, trailers: Mapping[str, str], *, parent: Any
    ) -> str:
        raise NotImplementedError("pods do not write")

    def log(self, limit: int = 100) -> Sequence[Commit]:
        return self._gitops.log(limit)


class Cluster:
    """Objects by name, and the pods of the Deployment that carries a release.

    As in the chart, the pods follow git by themselves: ``agent`` is what does, by ``git``. They
    are ready ``ROLL_S`` after their template changed, where they can load what git names. Pods
    that are replaced have forgotten a flip.
    """

    def __init__(self, agent: Agent, git: Followed) -> None:
        self.agent, self._git = agent, git
        self.objects: dict[str, Manifest] = {}
        self._template: Any = None
        self._rolled_at = -ROLL_S
        self.autoscaler_ready = True

    def apply(self, objects: Mapping[str, Manifest], at: float) -> None:
        self.objects = dict(objects)
        template = self._pod_template()
        self.agent.step()
        if template != self._template:
            self._template, self._rolled_at = template, at
            if self.pinned:
                assert self.agent.routing is not None
                self.agent.flip(self.agent.routing.desired.release.digest)

    def freeze(self) -> None:
        """Pods see no more of git than they have seen."""
        self._git.frozen_at = self._git.head()

    def thaw(self) -> None:
        self._git.frozen_at = None
        self.agent.step()

    @property
    def pinned(self) -> bool:
        """Whether a flip is ahead of git."""
        return self.agent.routing is not None and bool(self.agent.routing.pinned)

    def health(self, name: str, at: float) -> dict[str, str] | None:
        """As Argo CD tells it of one object; ``None`` for kinds that have none."""
        kind = name.partition("/")[0]
        if kind == "HorizontalPodAutoscaler" and not self.autoscaler_ready:
            return {"status": "Degraded", "message": "failed to get cpu utilization"}
        if kind != "Deployment":
            return None
        if self._digest(self.objects[name]) is None:
            return {"status": "Healthy"}
        waited = at - self._rolled_at
        if waited < ROLL_S:
            return {"status": "Progressing", "message": "Waiting for rollout to finish"}
        if self._starts():
            return {"status": "Healthy"}
        if waited < DEADLINE_S:
            return {"status": "Progressing", "message": "Waiting for rollout to finish"}
        message = f'Deployment "{name.partition("/")[2]}" exceeded its progress deadline'
        return {"status": "Degraded", "message": message}

    def _starts(self) -> bool:
        """Whether new pods get ready: ``/readyz`` is 200 once what git names is loaded."""
        self.agent.step()
        return self.agent.routing is not None and self.agent.healthy

    @property
    def digest(self) -> str | None:
        """The release that stands on the pods."""
        return next((found for one in self.objects.values() if (found := self._digest(one))), None)

    def _pod_template(self) -> Any:
        return next(one["spec"]["template"] for one in self.objects.values() if self._digest(one))

    @staticmethod
    def _digest(one: Manifest) -> str | None:
        """The release that the pods of a Deployment are to serve."""
        if one["kind"] != "Deployment":
            return None
        found: str | None = one["spec"]["template"]["metadata"].get("annotations", {}).get(DIGEST)
        return found

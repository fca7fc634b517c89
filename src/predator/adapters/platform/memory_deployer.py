"""``Deployer`` over an agent in this process: the platform's own hand, without its HTTP face."""

from __future__ import annotations

from predator.adapters.platform.revisions import covers
from predator.domain.errors import PredatorError
from predator.ports.deployer import Deployment, Look
from predator.ports.gitops import GitOps
from predator.search.serving.agent import Agent


class MemoryDeployer:
    """Nobody follows git here: each call makes the agent look. Waiting takes no time."""

    def __init__(self, agent: Agent, gitops: GitOps) -> None:
        self._agent, self._gitops = agent, gitops

    def status(self) -> Deployment:
        """What serves now."""
        self._agent.step()
        routing = self._agent.routing
        return Deployment(
            routing.live_digest if routing else "",
            routing.revision if routing else "",
            routing is not None and self._agent.healthy,
            self._agent.detail,
        )

    def wait(self, revision: str, timeout_s: float, look: Look = lambda _found: None) -> Deployment:
        """What serves now, where that is ``revision`` or a later one; ``PredatorError`` if not."""
        found = self.status()
        if not found.healthy or not covers(self._gitops, found.revision, revision):
            look(found)
            raise PredatorError(
                f"revision {revision[:12]} was not applied within {timeout_s:g} s"
                + (f": {found.detail}" if found.detail else "")
            )
        return found

    def flip(self, release: str) -> None:
        """Send all traffic to ``release`` now."""
        self._agent.step()
        self._agent.flip(release)

"""``Deployer`` of a rehearsal: nothing serves, so what git wants is what is live."""

from __future__ import annotations

from predator.domain.errors import PredatorError
from predator.loop.release.desired_state import DesiredState
from predator.ports.deployer import Deployment, Look


class RehearsedDeployer:
    """For the contour dev-mac: the flow is real, its platform is not there."""

    def __init__(self, desired: DesiredState) -> None:
        self._desired = desired

    def status(self) -> Deployment:
        revision = self._desired.gitops.head()
        if revision is None:
            raise PredatorError("the GitOps repository is empty")
        return Deployment(self._desired.read(revision).release.digest, revision, True)

    def wait(
        self,
        revision: str,
        timeout_s: float,  # noqa: ARG002 - no time passes
        look: Look = lambda _found: None,  # noqa: ARG002 - and there is nothing to see
    ) -> Deployment:
        found = self.status()
        known = {commit.revision for commit in self._desired.gitops.log(1_000_000)}
        if revision not in known:
            raise PredatorError(f"revision {revision[:12]} is not in the GitOps repository")
        return found

    def flip(self, release: str) -> None:
        """There is no traffic to send anywhere."""

"""What passed on the contour before is asked for here, once, without anybody asking."""

from __future__ import annotations

from predator.loop import queues
from predator.loop.release.contour_promotion import REHEARSED, previous_contour, promotable
from predator.loop.release.desired_state import DesiredState
from predator.ports.gitops import GitOps
from predator.ports.releases import Releases
from predator.ports.runtime import Flows


class Follower:
    """Looks at the contour before ``contour`` in the repository that they share.

    The newest version that may come is asked for, by a flow whose name is the release's: however
    often and by however many workers it is found, it comes once, and one that was refused or went
    back is left to people. Policy decides whether a person has to approve. What was rehearsed is
    not followed: it is no evidence.
    """

    def __init__(self, contour: str, gitops: GitOps, releases: Releases, flows: Flows) -> None:
        self._contour, self._gitops = contour, gitops
        self._releases, self._flows = releases, flows

    def look(self) -> str | None:
        """Ask for what may come; the id of its flow, ``None`` where nothing new may."""
        source = previous_contour(self._contour)
        if source is None or source == REHEARSED:
            return None
        there, here = (
            DesiredState(self._gitops, name).changes() for name in (source, self._contour)
        )
        for kept in self._releases.list() if there and here else ():
            found = promotable(kept.version, source, self._contour, kept, there, here)
            if found.done:
                return None
            if found.allowed and not found.returned:
                return self._ask(kept.version, kept.digest, source)
        return None

    def _ask(self, version: str, digest: str, source: str) -> str | None:
        flow_id = f"promotion-{self._contour}-{digest[:20]}"
        asked = {
            "environment": self._contour, "source": source, "version": version, "actor": "",
            "reason": f"it passed on {source}",
        }  # fmt: skip
        if self._flows.status(flow_id) is not None:
            return None
        self._flows.enqueue("promotion", flow_id, asked, queue=queues.cycles(self._contour))
        return flow_id
